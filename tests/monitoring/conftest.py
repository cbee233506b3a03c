import numpy as np
import pytest

from tfrec_fusion._compat import tf

START = 1.79e9


class Logger:
    """Asks a version and logs what it answers, as TF Serving would.

    Args:
      version: the folder of an export.
    """

    def __init__(self, version):
        self.version = version
        self.signatures = tf.saved_model.load(str(version)).signatures

    def log(self, path, signature, requests, seconds=1.0):
        """Writes a record for each of `requests`, dicts of inputs, `seconds` apart."""
        apis = pytest.importorskip("tensorflow_serving.apis.prediction_log_pb2")
        with tf.io.TFRecordWriter(str(path)) as file:
            for number, inputs in enumerate(requests):
                log = apis.PredictionLog()
                log.log_metadata.timestamp_secs = int(START + number * seconds)
                request, response = log.predict_log.request, log.predict_log.response
                request.model_spec.signature_name = signature
                response.model_spec.version.value = int(self.version.name)
                for name, value in inputs.items():
                    request.inputs[name].CopyFrom(tf.make_tensor_proto(value))
                given = {name: tf.constant(value) for name, value in inputs.items()}
                for name, value in self.signatures[signature](**given).items():
                    response.outputs[name].CopyFrom(tf.make_tensor_proto(value))
                file.write(log.SerializeToString())
        return path


@pytest.fixture(scope="session")
def logger(exported):
    return Logger(exported)


@pytest.fixture(scope="session")
def make_logger():
    return Logger


@pytest.fixture(scope="session")
def logs(logger, events, tmp_path_factory):
    """Logs of 600 requests each: "as before" asks for known users, and "drifted" mostly for others,
    with histories of which many items are not in the catalogue."""
    folder = tmp_path_factory.mktemp("logs")
    rng = np.random.default_rng(1)
    known = rng.choice(events.users.ids, (12, 50)).astype(object)
    path = folder / "as-before"
    as_before = logger.log(path, "serving_default", [{"user_id": users} for users in known])
    items = np.array([*events.catalogue.vocabulary.ids[:8], "", "gone", "new", "newer"], object)
    drifted = []
    for users in known.copy():
        users[5:] = [f"visitor {n}" for n in rng.integers(0, 1000, 45)]
        drifted.append(
            {
                **neutral(logger.signatures["recommend"], len(users)),
                "user_id": users,
                "history": rng.choice(items, (len(users), 3)).astype(object),
                "k": np.full(len(users), 10, np.int32),
            }
        )
    return {
        "as before": as_before,
        "drifted": logger.log(folder / "drifted", "recommend", drifted),
    }


def neutral(signature, batch):
    """For each input what changes nothing."""
    found = {}
    for name, spec in signature.structured_input_signature[1].items():
        shape = [batch, *[1] * (spec.shape.rank - 1)]
        if spec.dtype == tf.string:
            found[name] = np.full(shape, "", object)
        else:
            empty = np.nan if spec.dtype.is_floating else 0
            found[name] = np.full(shape, empty, spec.dtype.as_numpy_dtype)
    return found
