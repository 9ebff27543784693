"""The command line, as its user runs it."""

import pytest
from typer.testing import CliRunner

from napari_unet.cli import app


@pytest.fixture
def run():
    """Run the command line here; a traceback or a status other than the wanted one fails."""

    def call(*arguments, status=0):
        result = CliRunner().invoke(app, [str(a) for a in arguments])
        assert result.exception is None or isinstance(result.exception, SystemExit), repr(result.exception)
        assert result.exit_code == status, result.output
        assert "Traceback" not in result.output
        if status:
            assert result.stderr.strip()
        return result

    return call
