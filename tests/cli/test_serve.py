import pytest

from tfrec_fusion.cli import main


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "serve: pass either a folder of versions or --model-config-file"),
        (["shop", "--model-config-file", "x"], "serve: pass either a folder"),
        (["no/such/shop"], "serve: no such folder; export a model there first"),
        ([".", "--tls-key", "x"], "pass both --tls-certificate and --tls-key"),
        (
            ["--model-config-file", "none.config"],
            "the model config file does not exist. Received: none.config",
        ),
        ([".", "--batching-parameters-file", "none.txt"], "the batching file does not exist"),
        ([".", "--max-k", "0"], "serve: k must be positive. Received: 0"),
        ([".", "--api-key-file", "/dev/null"], "the API key must be ASCII text"),
    ],
)
def test_mistakes_are_told_in_a_line(arguments, says, capsys):
    for module in ("uvicorn", "starlette", "tensorflow_serving"):
        pytest.importorskip(module, reason='needs ".[server]"')
    assert main(["serve", *arguments]) == 2
    error = capsys.readouterr().err.strip().splitlines()
    assert len(error) == 1
    assert error[0].startswith("error: ") and says in error[0]


def test_a_folder_without_versions(tmp_path, capsys):
    pytest.importorskip("uvicorn", reason='needs ".[server]"')
    assert main(["serve", str(tmp_path), "--rest-port", "0", "--grpc-port", "0"]) == 2
    assert "no version to serve" in capsys.readouterr().err
