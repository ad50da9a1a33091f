//! What the machine looks like and what it is told: addresses, ports, logs, systemd.
