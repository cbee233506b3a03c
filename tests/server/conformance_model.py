"""A model whose signatures show every type and shape, in two versions with labels.

`python conformance_model.py FOLDER` writes FOLDER/zoo and FOLDER/models.config, from which a real
TF Serving can be started for test_rest_conformance.py and test_grpc_conformance.py.
"""

import sys
from pathlib import Path

from tfrec_fusion._compat import tf

TYPES = {
    "f32": tf.float32,
    "f64": tf.float64,
    "i8": tf.int8,
    "u8": tf.uint8,
    "i16": tf.int16,
    "i32": tf.int32,
    "u32": tf.uint32,
    "i64": tf.int64,
    "u64": tf.uint64,
    "bool": tf.bool,
    "text": tf.string,
}

CONFIG = """model_config_list {{
  config {{
    name: "zoo"
    base_path: "{base}"
    model_platform: "tensorflow"
    model_version_policy {{ specific {{ versions: 1 versions: 2 }} }}
    version_labels {{ key: "stable" value: 1 }}
    version_labels {{ key: "canary" value: 2 }}
  }}
}}
"""


def _function(*specs):
    return tf.function(input_signature=specs, autograph=False)


def _spec(shape, dtype, name):
    return tf.TensorSpec(shape, dtype, name)


class Zoo(tf.Module):
    def __init__(self, version):
        super().__init__(name="zoo")
        self.offset = tf.Variable(1.0 + version, trainable=False)

    @_function(_spec([None], tf.float32, "x"))
    def half_plus(self, x):
        return {"y": x / 2 + self.offset}

    @_function(*[_spec([None, None], dtype, name) for name, dtype in TYPES.items()])
    def types(self, f32, f64, i8, u8, i16, i32, u32, i64, u64, bool, text):
        given = (f32, f64, i8, u8, i16, i32, u32, i64, u64, bool, text)
        return {f"{name}_out": tf.identity(x) for name, x in zip(TYPES, given, strict=True)}

    @_function(_spec([None], tf.string, "s"))
    def copies(self, s):
        return {"raw_bytes": tf.identity(s), "shown": s + "!"}

    @_function(_spec([None], tf.string, "s"))
    def image(self, s):
        return {"image_bytes": tf.identity(s)}

    @_function(_spec([], tf.float32, "x"), _spec([], tf.string, "s"))
    def scalars(self, x, s):
        return {"y": x + 1.0, "t": s + "?"}

    @_function(_spec([None, None, 2], tf.float32, "x"))
    def matrix(self, x):
        return {"total": tf.reduce_sum(x, [1, 2])}

    @_function(_spec([None], tf.float32, "x"), _spec([None], tf.float32, "z"))
    def divide(self, x, z):
        return {"q": x / z}

    @_function(_spec([None], tf.int32, "n"))
    def refuse(self, n):
        with tf.control_dependencies([tf.debugging.assert_positive(n, "n must be positive")]):
            return {"m": tf.identity(n)}

    @_function(_spec([None], tf.int64, "n"), _spec([None], tf.int64, "m"))
    def uneven(self, n, m):
        return {"all": tf.concat([n, m], 0), "n_out": tf.identity(n)}

    @_function(_spec([None], tf.float16, "h"))
    def half(self, h):
        return {"wide": tf.cast(h, tf.float32)}

    @_function(_spec([None], tf.float32, "x"))
    def narrow(self, x):
        return {"h": tf.cast(x, tf.float16)}


def write(folder):
    """Writes versions 1 and 2 and `models.config`; returns the config."""
    base = Path(folder).absolute() / "zoo"
    for version in (1, 2):
        zoo = Zoo(version)
        named = {name: getattr(zoo, name) for name in vars(Zoo) if name in SIGNATURES}
        tf.saved_model.save(
            zoo, str(base / str(version)), signatures={"serving_default": zoo.half_plus, **named}
        )
    config = base.parent / "models.config"
    config.write_text(CONFIG.format(base=base))
    return config


SIGNATURES = (
    "types",
    "copies",
    "image",
    "scalars",
    "matrix",
    "divide",
    "refuse",
    "uneven",
    "half",
    "narrow",
)

if __name__ == "__main__":
    print(write(sys.argv[1]))
