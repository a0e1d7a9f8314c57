"""What a run reads of the SDK's data, read once: imported by the process that runs are forked from."""

from asyncmirror.store.session import _loader

_OF_S3 = ("service-2", "endpoint-rule-set-1")
_OF_ALL = ("endpoints", "partitions", "sdk-default-configuration")

_reader = _loader(None)
for _name in _OF_S3:
    _reader.load_service_model("s3", _name)
for _name in _OF_ALL:
    _reader.load_data(_name)
