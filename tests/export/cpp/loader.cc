// Answers the requests of a TFRecord file of PredictionLogs from a SavedModel, by the loader that TF
// Serving uses.
//
// Usage: loader SAVED_MODEL REQUESTS ANSWERS
//
// ANSWERS is a TFRecord of NamedTensorProtos "<record> <output>". The logs are read off the wire,
// since TensorFlow's wheel has no headers of TF Serving's messages.

#include <cstdint>
#include <cstdlib>
#include <iostream>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "tensorflow/cc/saved_model/loader.h"
#include "tensorflow/core/framework/tensor.h"
#include "tensorflow/core/lib/io/record_reader.h"
#include "tensorflow/core/lib/io/record_writer.h"
#include "tensorflow/core/platform/env.h"
#include "tensorflow/core/protobuf/named_tensor.pb.h"

namespace tf = tensorflow;

namespace {

// Field numbers of tensorflow_serving/apis/*.proto.
constexpr int kClassifyLog = 2, kRegressLog = 3, kPredictLog = 6;  // PredictionLog
constexpr int kRequest = 1;                                        // its logs
constexpr int kModelSpec = 1, kInputs = 2;  // PredictRequest, ClassificationRequest
constexpr int kSignatureName = 3;           // ModelSpec
constexpr int kKey = 1, kValue = 2;         // an entry of a map
constexpr int kExampleList = 1;             // Input
constexpr int kExamples = 1;                // ExampleList

void Check(const absl::Status& status) {
  if (!status.ok()) {
    std::cerr << status << std::endl;
    std::exit(1);
  }
}

[[noreturn]] void Fail(const std::string& what) {
  std::cerr << what << std::endl;
  std::exit(1);
}

uint64_t Varint(const std::string& bytes, size_t* at) {
  uint64_t value = 0;
  for (int shift = 0; shift < 64; shift += 7) {
    if (*at >= bytes.size()) Fail("a message ends within a number");
    const uint8_t byte = bytes[(*at)++];
    value |= static_cast<uint64_t>(byte & 127) << shift;
    if (byte < 128) return value;
  }
  Fail("a number of more than 64 bits");
}

// The values of all length-delimited fields of a message, by number.
std::map<int, std::vector<std::string>> Fields(const std::string& bytes) {
  std::map<int, std::vector<std::string>> found;
  for (size_t at = 0; at < bytes.size();) {
    const uint64_t tag = Varint(bytes, &at);
    switch (tag & 7) {
      case 0:
        Varint(bytes, &at);
        break;
      case 1:
        at += 8;
        break;
      case 5:
        at += 4;
        break;
      case 2: {
        const uint64_t size = Varint(bytes, &at);
        if (size > bytes.size() - at) Fail("a message ends within a field");
        found[tag >> 3].push_back(bytes.substr(at, size));
        at += size;
        break;
      }
      default:
        Fail("a field of an unknown type");
    }
  }
  return found;
}

std::string One(const std::string& bytes, int field) {
  const auto fields = Fields(bytes);
  const auto it = fields.find(field);
  return it == fields.end() ? "" : it->second.back();
}

struct Request {
  std::string signature;
  std::map<std::string, tf::Tensor> inputs;
};

Request Read(const std::string& record) {
  const auto log = Fields(record);
  Request request;
  const bool predict = log.count(kPredictLog) > 0;
  for (int kind : {kPredictLog, kClassifyLog, kRegressLog}) {
    if (log.count(kind) == 0) continue;
    const std::string body = One(log.at(kind).back(), kRequest);
    request.signature = One(One(body, kModelSpec), kSignatureName);
    if (request.signature.empty()) request.signature = "serving_default";
    if (predict) {
      const std::vector<std::string> entries = Fields(body)[kInputs];
      for (const std::string& entry : entries) {
        tf::TensorProto proto;
        tf::Tensor tensor;
        if (!proto.ParseFromString(One(entry, kValue)) || !tensor.FromProto(proto)) {
          Fail("an input is no tensor");
        }
        request.inputs[One(entry, kKey)] = tensor;
      }
    } else {
      const auto examples = Fields(One(One(body, kInputs), kExampleList))[kExamples];
      tf::Tensor tensor(tf::DT_STRING, {static_cast<int64_t>(examples.size())});
      for (size_t i = 0; i < examples.size(); ++i) tensor.vec<tf::tstring>()(i) = examples[i];
      request.inputs["inputs"] = tensor;
    }
    return request;
  }
  Fail("a record is no log of a request");
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4) Fail("usage: loader SAVED_MODEL REQUESTS ANSWERS");
  tf::SavedModelBundle bundle;
  Check(tf::LoadSavedModel({}, {}, argv[1], {"serve"}, &bundle));
  std::unique_ptr<tf::RandomAccessFile> source;
  Check(tf::Env::Default()->NewRandomAccessFile(argv[2], &source));
  tf::io::SequentialRecordReader reader(source.get());
  std::unique_ptr<tf::WritableFile> target;
  Check(tf::Env::Default()->NewWritableFile(argv[3], &target));
  tf::io::RecordWriter writer(target.get());

  tf::tstring record;
  int count = 0;
  for (; reader.ReadRecord(&record).ok(); ++count) {
    const Request request = Read(std::string(record));
    const auto& signatures = bundle.GetSignatures();
    const auto it = signatures.find(request.signature);
    if (it == signatures.end()) Fail("no signature " + request.signature);
    std::vector<std::pair<std::string, tf::Tensor>> feeds;
    for (const auto& [name, tensor] : request.inputs) {
      const auto input = it->second.inputs().find(name);
      if (input == it->second.inputs().end()) Fail(request.signature + " has no input " + name);
      feeds.emplace_back(input->second.name(), tensor);
    }
    if (feeds.size() != it->second.inputs().size()) Fail(request.signature + ": missing inputs");
    std::vector<std::string> names, tensors;
    for (const auto& [name, info] : it->second.outputs()) {
      names.push_back(name);
      tensors.push_back(info.name());
    }
    std::vector<tf::Tensor> outputs;
    Check(bundle.GetSession()->Run(feeds, tensors, {}, &outputs));
    for (size_t i = 0; i < outputs.size(); ++i) {
      tf::NamedTensorProto named;
      named.set_name(std::to_string(count) + " " + names[i]);
      if (outputs[i].dtype() == tf::DT_STRING) {
        outputs[i].AsProtoField(named.mutable_tensor());
      } else {
        outputs[i].AsProtoTensorContent(named.mutable_tensor());
      }
      Check(writer.WriteRecord(named.SerializeAsString()));
    }
  }
  Check(writer.Close());
  Check(target->Close());
  std::cout << count << std::endl;
  return 0;
}
