from __future__ import annotations

import socket

import pytest

from compose.sockets import free_ports, is_listening, require_free
from schemas.errors import SetupError


def test_a_taken_port_is_one_sentence_with_the_setting_that_moves_it() -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = holder.getsockname()[1]
        assert is_listening(port)
        with pytest.raises(SetupError) as caught:
            require_free(port, service="Kafka", setting="--kafka-port")
    sentence = str(caught.value)
    assert sentence.startswith(f"port {port} for Kafka is taken")
    assert "--kafka-port" in sentence
    assert caught.value.exit_code == 2


def test_free_ports_are_distinct_and_free() -> None:
    ports = free_ports(20)
    assert len(set(ports)) == 20
    assert max(ports) < 32_768  # where Linux begins to take ports for outgoing connections
    for port in ports:
        assert not is_listening(port)
        require_free(port, service="Kafka", setting="--kafka-port")
