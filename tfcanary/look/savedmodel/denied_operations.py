"""The list of denied operations: those that use files, the network, other processes or Python.

A TensorFlow graph is a program. A served model needs none of these operations, and each of them runs with the rights of the
server.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

FILES_READ, FILES_WRITTEN = "reads files", "writes files"
NETWORK, PYTHON, OUTSIDE = "uses the network", "calls Python", "reaches outside the model"
HIDDEN = "hides a graph in a text, where the gate cannot check it"

DENIED: dict[str, str] = {
    name: does
    for does, names in {
        FILES_READ: """ReadFile MatchingFiles WholeFileReader WholeFileReaderV2 TextLineReader TextLineReaderV2 TFRecordReader TFRecordReaderV2
            FixedLengthRecordReader FixedLengthRecordReaderV2 IdentityReader IdentityReaderV2 LMDBReader ReaderRead ReaderReadV2 ReaderReadUpTo
            ReaderReadUpToV2 TextLineDataset TFRecordDataset TFRecordDatasetV2 FixedLengthRecordDataset FixedLengthRecordDatasetV2
            CSVDataset CSVDatasetV2 ExperimentalCSVDataset SqlDataset ExperimentalSqlDataset LMDBDataset ExperimentalLMDBDataset
            MatchingFilesDataset ExperimentalMatchingFilesDataset LoadDataset ImmutableConst LoadAndRemapMatrix GenerateVocabRemapping
            DTensorRestoreV2 ListSnapshotChunksDataset SnapshotDatasetReader SnapshotNestedDatasetReader ImportEvent
            SimpleMLLoadModelFromPath SimpleMLLoadModelFromPathWithHandle""",
        FILES_WRITTEN: """WriteFile SaveDataset SaveDatasetV2 DatasetToTFRecord ExperimentalDatasetToTFRecord SnapshotDataset SnapshotDatasetV2
            SnapshotChunkDataset DistributedSave StatsAggregatorSetSummaryWriter CalibrationStatisticsSaver CreateSummaryFileWriter CreateSummaryDbWriter FlushSummaryWriter DumpTensor
            WriteAudioSummary WriteGraphSummary WriteHistogramSummary WriteImageSummary WriteRawProtoSummary WriteScalarSummary WriteSummary""",
        NETWORK: """DataServiceDataset DataServiceDatasetV2 DataServiceDatasetV3 DataServiceDatasetV4 RegisterDataset RegisterDatasetV2
            RpcServer RpcClient RpcCall RpcServerRegister RpcServerStart Send Recv _Send _Recv _HostSend _HostRecv RemoteCall
            NcclAllReduce NcclBroadcast NcclReduce""",
        PYTHON: "PyFunc PyFuncStateless EagerPyFunc GeneratorDataset",
        HIDDEN: "DatasetFromGraph DeserializeIterator RemoteFusedGraphExecute MlirPassthroughOp",
        OUTSIDE: "FileSystemSetConfiguration Abort WorkerHeartbeat ShutdownDistributedTPU ShutdownTPUSystem",
    }.items()
    for name in names.split()
}
DENIED_FAMILIES = (
    (re.compile(r"_?(Collective|Nccl)\w+"), NETWORK),
    (re.compile(r"(Experimental)?(Snapshot|RegisterDataset|DataServiceDataset)\w*"), FILES_WRITTEN),
)

SAVER_ONLY = frozenset(
    ["SaveV2", "RestoreV2", "MergeV2Checkpoints", "ShardedFilename", "ShardedFilespec", "Save", "SaveSlices", "Restore", "RestoreSlice"],
)
"""Operations of every export that write and read the checkpoint; only the saver may reach them."""
ASSET_READERS: dict[str, int] = {
    **dict.fromkeys(("ReadFile", "TextLineDataset", "TFRecordDataset", "TFRecordDatasetV2", "FixedLengthRecordDataset"), 0),
    **dict.fromkeys(("FixedLengthRecordDatasetV2", "CSVDataset", "CSVDatasetV2"), 0),
    **dict.fromkeys(("InitializeTableFromTextFile", "InitializeTableFromTextFileV2"), 1),
}
"""Operations that may read an asset of the model; the value is the position of the input that names the file."""
CACHES = frozenset({"CacheDataset", "CacheDatasetV2"})
"""Operations that cache rows in the file that their second input names, or in memory where that input is empty."""

PRINT_STREAMS = frozenset({"stderr", "stdout", "log(info)", "log(warning)", "log(error)"})
"""Streams of PrintV2 that are no files."""


def _debugs_outside(texts: Mapping[str, str]) -> bool:
    return bool(texts.get("debug_urls") or texts.get("dump_root") or texts.get("tfdbg_run_id") or texts.get("file_path"))


CONDITIONAL: dict[str, tuple[Callable[[Mapping[str, str]], bool], str]] = {
    "PrintV2": (lambda texts: texts.get("output_stream", "stderr") not in PRINT_STREAMS, FILES_WRITTEN),
    **dict.fromkeys(
        ("EncodeProto", "DecodeProto", "DecodeProtoV2"),
        (lambda texts: not texts.get("descriptor_source", "local://").startswith("local://"), FILES_READ),
    ),
    **dict.fromkeys(("DebugIdentity", "DebugIdentityV2", "DebugIdentityV3", "DebugNanCount"), (_debugs_outside, OUTSIDE)),
    **dict.fromkeys(("DebugNumericSummary", "DebugNumericSummaryV2"), (_debugs_outside, OUTSIDE)),
}
"""Operations that are denied only with certain attributes: a test of the text attributes, and what the operation then does."""

NOT_PORTABLE = re.compile(r"XlaCallModule|XlaLaunch|_?TPU\w*|TPU\w*")
"""Operations for which a standard server has no compiler or no hardware."""


def danger(op: str, texts: Mapping[str, str]) -> str | None:
    """What a denied operation does, for a sentence; None where the operation is allowed. `texts` are its text attributes."""
    if op in DENIED:
        return DENIED[op]
    if op in CONDITIONAL:
        dangerous, does = CONDITIONAL[op]
        return does if dangerous(texts) else None
    return next((does for pattern, does in DENIED_FAMILIES if pattern.fullmatch(op)), None)
