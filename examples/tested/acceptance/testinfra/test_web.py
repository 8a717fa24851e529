def test_nginx_runs(host):
    nginx = host.service("nginx")
    assert nginx.is_running
    assert nginx.is_enabled


def test_port_80_is_open(host):
    assert host.socket("tcp://80").is_listening
