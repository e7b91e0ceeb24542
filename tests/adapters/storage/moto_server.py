"""`python -m tests.adapters.storage.moto_server`: a bucket of AWS's kind at a free port, which is printed; one request at a time.

One at a time, for moto looks at a condition first and writes then.
"""

from __future__ import annotations

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import make_server


def main() -> None:
    server = make_server("127.0.0.1", 0, DomainDispatcherApplication(create_backend_app), threaded=False)
    print(server.port, flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
