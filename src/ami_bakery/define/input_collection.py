"""Collects the inputs of a template, with progress and advice."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

from ami_bakery.define.inputs import Inventory, inventory_of, stream, would_be_input, would_be_inputs
from ami_bakery.define.preconditions import check_paths, check_variables
from ami_bakery.define.progress import HashingProgress
from ami_bakery.errors import SourceError, TemplateError
from ami_bakery.values import replace

if TYPE_CHECKING:
    from ami_bakery.core.definition.manifest import Entry
    from ami_bakery.core.definition.stamp import Stamps
    from ami_bakery.define.template_settings import TemplateSettings
    from ami_bakery.template.facts import TemplateFacts
    from ami_bakery.template.location import SourceLocation


def checked_facts(settings: TemplateSettings, configured: Iterable[str]) -> TemplateFacts:
    """Reads the template. Raises `ConfigError` if it does not fit the configuration. Needs no AWS.

    configured  the names of the variables that bakery.toml sets, without those after `--`
    """
    try:
        check_settings_paths(settings)
        facts = settings.facts()
    except TemplateError as error:
        from ami_bakery.define.template_errors import improve_template_error

        raise improve_template_error(settings, error) from error
    check_variables(settings.config.file, settings.image, facts, configured)
    return facts


def check_settings_paths(settings: TemplateSettings) -> None:
    check_paths(settings.ports.tree, settings.config.file, settings.image)


def collect_inventory(settings: TemplateSettings, facts: TemplateFacts) -> Inventory:
    """Hashes all inputs. Needs no AWS."""
    return inventory_of(_inputs(settings, facts))


def stream_entries(settings: TemplateSettings, facts: TemplateFacts) -> Generator[Entry]:
    """Yields the inputs for a digest, without keeping them in memory. Close it: a file may be open."""
    with closing(_inputs(settings, facts)) as found:
        for entry, _ in found:
            yield entry


def collect_stamps(settings: TemplateSettings, facts: TemplateFacts) -> Stamps:
    """Returns the stamps of all inputs. Stamps from before and after a build show which inputs were replaced."""
    from ami_bakery.define.input_stamps import take_stamps

    ports, image = settings.ports, settings.image
    # With -debug Packer writes a private key into its folder, and removes it.
    busy = (settings.workdir,) if settings.arguments.debug else ()
    made = take_stamps(
        ports.tree,
        ports.stamps,
        image,
        settings.config.file,
        facts,
        settings.log_files,
        left_out=_left_out(settings, facts),
        busy=busy,
    )
    programs = ((path, ports.stamps.stamp(path)) for path in settings.plugin_programs(facts))
    return replace(made, files={**made.files, **{path: stamp for path, stamp in programs if stamp is not None}})


def is_future_input(settings: TemplateSettings, path: str) -> bool:
    """Whether a file at the absolute `path` would be an input."""
    facts = settings.facts()
    left_out = _left_out(settings, facts)
    return would_be_input(settings.ports.tree, settings.image, settings.config.file, facts, path, left_out)


def future_inputs(settings: TemplateSettings, facts: TemplateFacts, paths: Iterable[str]) -> frozenset[str]:
    """Returns the absolute paths at which a file would be an input."""
    tree, image, file = settings.ports.tree, settings.image, settings.config.file
    return would_be_inputs(tree, image, file, facts, paths, _left_out(settings, facts))


def _left_out(settings: TemplateSettings, facts: TemplateFacts) -> frozenset[str]:
    """Returns the paths of default inputs that belong to the image's test."""
    if settings.image.test is None:
        return frozenset()
    from ami_bakery.define.test_definition import paths_of_test

    return paths_of_test(settings, facts)


@contextmanager
def hashing_progress(settings: TemplateSettings) -> Iterator[HashingProgress]:
    progress = HashingProgress(settings.ports.reporter, settings.ports.clock, settings.image.name)
    try:
        yield progress
    finally:
        progress.end()


def _inputs(settings: TemplateSettings, facts: TemplateFacts) -> Generator[tuple[Entry, tuple[SourceLocation, ...]]]:
    """Yields the inputs in order, and reports the progress."""
    ports = settings.ports
    home = ports.environment.get("HOME", "")
    with hashing_progress(settings) as progress:
        try:
            yield from stream(
                ports.tree,
                settings.image,
                settings.config.file,
                facts,
                settings.log_files,
                left_out=_left_out(settings, facts),
                home=home,
                progress=progress,
            )
        except SourceError as error:
            from ami_bakery.define.template_errors import with_folder_advice

            raise with_folder_advice(settings, error) from error
