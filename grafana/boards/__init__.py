"""The five Grafana dashboards as code: a module for each, and how a panel becomes Grafana's JSON."""
