import os
import subprocess
import sys
import textwrap

import pytest

from tfrec_fusion._compat import addons, keras, optional, tf, tfrs


def _python(program, **environment):
    """Run a program in a process of its own, where the order of imports is the program's."""
    environment = {k: v for k, v in os.environ.items() if k != "TF_USE_LEGACY_KERAS"} | environment
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
    )


def _passes(program, **environment):
    done = _python(program, **environment)
    assert done.returncode == 0, done.stderr[-3000:]
    return done


def test_keras_is_the_legacy_one_and_tfrs_builds_on_it():
    assert keras.Model is tf.keras.Model
    assert not hasattr(keras, "version")
    assert issubclass(tfrs.Model, keras.Model)


def test_importing_the_package_imports_nothing_heavy():
    _passes(
        """
        import sys, time
        start = time.perf_counter()
        import tfrec_fusion
        seconds = time.perf_counter() - start
        heavy = {"tensorflow", "keras", "tf_keras", "torch", "transformers", "pandas", "numpy"}
        assert not heavy & set(sys.modules), heavy & set(sys.modules)
        assert seconds < 1, seconds
        from tfrec_fusion import _compat
        assert "tensorflow" not in sys.modules
        """
    )


def test_tensorflow_first():
    _passes(
        """
        import tensorflow
        from tfrec_fusion._compat import keras, tf, tfrs
        assert tf is tensorflow and keras is tf.keras
        assert keras.__name__.startswith("tf_keras")
        assert issubclass(tfrs.Model, tf.keras.Model)
        """
    )


@pytest.mark.slow
def test_an_untouched_tf_keras_first():
    _passes(
        """
        from tensorflow import keras as theirs
        from tfrec_fusion._compat import keras
        assert theirs.layers.Dense is keras.layers.Dense
        assert keras.__name__.startswith("tf_keras")
        """
    )


@pytest.mark.slow
def test_keras_3_first():
    _passes(
        """
        import keras as keras3
        from tfrec_fusion._compat import keras, tf
        assert keras3.__version__.startswith("3.")
        assert keras.__name__.startswith("tf_keras")
        x = tf.ones([1, 2])
        assert keras3.layers.Dense(3)(x).shape == keras.layers.Dense(3)(x).shape == (1, 3)
        """
    )


@pytest.mark.slow
def test_the_package_first_then_tf_keras_and_keras_3():
    _passes(
        """
        import tfrec_fusion
        import tensorflow as tf
        dense = tf.keras.layers.Dense
        from tfrec_fusion._compat import keras
        import keras as keras3
        assert keras.layers.Dense is dense and dense.__module__.startswith("tf_keras")
        assert keras3.__version__.startswith("3.")
        x = tf.ones([1, 2])
        assert keras3.layers.Dense(3)(x).shape == keras.layers.Dense(3)(x).shape == (1, 3)
        """,
        TF_USE_LEGACY_KERAS="0",
    )


@pytest.mark.slow
def test_tf_keras_touched_first_says_what_to_do():
    done = _python(
        """
        import tensorflow as tf
        tf.keras.layers
        import tfrec_fusion
        for _ in range(2):
            try:
                from tfrec_fusion._compat import tfrs
            except ImportError as error:
                print(error)
        """
    )
    assert done.returncode == 0, done.stderr[-3000:]
    first, second = done.stdout.splitlines()
    assert first == second
    assert "but tf.keras is already Keras 3." in first
    assert "import tfrec_fusion before tf.keras is first used" in first
    assert "TF_USE_LEGACY_KERAS=1" in first


def test_an_unknown_name_is_an_attribute_error():
    from tfrec_fusion import _compat

    with pytest.raises(AttributeError, match=r"no attribute 'torch'"):
        _compat.torch  # noqa: B018


def test_an_optional_module_that_is_there():
    assert optional("json", extra="text").loads("1") == 1


def test_an_optional_module_that_is_absent_names_its_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(ImportError, match=r'pip install "tfrec-fusion\[text\]"') as error:
        optional("torch", extra="text")
    assert error.value.name == "torch"


@pytest.mark.slow
def test_a_programs_own_import_of_addons_works():
    pytest.importorskip("typeguard", reason="the extra `addons` is not installed")
    done = _passes(
        """
        import tfrec_fusion
        import tensorflow_addons as tfa
        from tfrec_fusion._compat import addons, keras
        assert tfa is addons()
        assert isinstance(keras.optimizers.get("Addons>LazyAdam"), tfa.optimizers.LazyAdam)
        model = keras.Sequential([keras.layers.Dense(1, input_shape=(2,))])
        model.compile(tfa.optimizers.LAMB(0.1), tfa.losses.SigmoidFocalCrossEntropy())
        model.fit([[1.0, 2.0]], [[1.0]], verbose=0)
        try:
            import keras.src.engine
        except ModuleNotFoundError:
            print("gone")
        """
    )
    assert done.stdout == "gone\n"


def test_absent_addons_name_their_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorflow_addons", None)
    monkeypatch.setattr(sys, "version_info", (3, 11, 0))
    with pytest.raises(ImportError, match=r'pip install "tfrec-fusion\[addons\]"'):
        addons.__wrapped__()
    assert "keras.src.engine" not in sys.modules


def test_absent_addons_on_a_python_that_has_none(monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorflow_addons", None)
    monkeypatch.setattr(sys, "version_info", (3, 12, 0))
    with pytest.raises(ImportError, match=r"no release for Python 3.12 and later"):
        addons.__wrapped__()


@pytest.mark.slow
def test_addons_come_without_a_warning_and_leave_keras_3_as_it_is():
    pytest.importorskip("typeguard", reason="the extra `addons` is not installed")
    done = _passes(
        """
        import warnings
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", UserWarning)
            from tfrec_fusion._compat import addons, keras, tf
            tfa = addons()
        assert tfa is addons()
        assert not [w for w in caught if "ddons" in str(w.message)], caught
        assert isinstance(keras.optimizers.get("Addons>LazyAdam"), tfa.optimizers.LazyAdam)
        layer = keras.layers.deserialize(
            {"class_name": "Addons>PolynomialCrossing", "config": {"name": "cross"}}
        )
        assert layer((tf.ones([2, 3]), tf.ones([2, 3]))).shape == (2, 3)
        loss = keras.losses.get("Addons>SigmoidFocalCrossEntropy")
        assert isinstance(loss, tfa.losses.SigmoidFocalCrossEntropy)
        import keras as keras3
        assert keras3.layers.Dense(2)(keras3.Input((3,))).shape == (None, 2)
        try:
            import keras.src.engine
        except ModuleNotFoundError:
            print("gone")
        """
    )
    assert done.stdout == "gone\n"
