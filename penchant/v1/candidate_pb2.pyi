from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class CandidateBlock(_message.Message):
    __slots__ = ("count", "rows", "scores", "source_bits", "features", "source_names", "keys")
    COUNT_FIELD_NUMBER: _ClassVar[int]
    ROWS_FIELD_NUMBER: _ClassVar[int]
    SCORES_FIELD_NUMBER: _ClassVar[int]
    SOURCE_BITS_FIELD_NUMBER: _ClassVar[int]
    FEATURES_FIELD_NUMBER: _ClassVar[int]
    SOURCE_NAMES_FIELD_NUMBER: _ClassVar[int]
    KEYS_FIELD_NUMBER: _ClassVar[int]
    count: int
    rows: bytes
    scores: bytes
    source_bits: bytes
    features: bytes
    source_names: _containers.RepeatedScalarFieldContainer[str]
    keys: bytes
    def __init__(self, count: _Optional[int] = ..., rows: _Optional[bytes] = ..., scores: _Optional[bytes] = ..., source_bits: _Optional[bytes] = ..., features: _Optional[bytes] = ..., source_names: _Optional[_Iterable[str]] = ..., keys: _Optional[bytes] = ...) -> None: ...

class ItemFilter(_message.Message):
    __slots__ = ("conditions",)
    CONDITIONS_FIELD_NUMBER: _ClassVar[int]
    conditions: _containers.RepeatedCompositeFieldContainer[AttributeCondition]
    def __init__(self, conditions: _Optional[_Iterable[_Union[AttributeCondition, _Mapping]]] = ...) -> None: ...

class AttributeCondition(_message.Message):
    __slots__ = ("attribute", "any_of", "minimum", "maximum", "negate")
    ATTRIBUTE_FIELD_NUMBER: _ClassVar[int]
    ANY_OF_FIELD_NUMBER: _ClassVar[int]
    MINIMUM_FIELD_NUMBER: _ClassVar[int]
    MAXIMUM_FIELD_NUMBER: _ClassVar[int]
    NEGATE_FIELD_NUMBER: _ClassVar[int]
    attribute: str
    any_of: _containers.RepeatedScalarFieldContainer[str]
    minimum: float
    maximum: float
    negate: bool
    def __init__(self, attribute: _Optional[str] = ..., any_of: _Optional[_Iterable[str]] = ..., minimum: _Optional[float] = ..., maximum: _Optional[float] = ..., negate: _Optional[bool] = ...) -> None: ...
