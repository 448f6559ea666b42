"""Recording rules and alerts as code: `python -m alerting` (`make generate`) writes them as Prometheus reads them."""
