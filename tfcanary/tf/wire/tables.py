"""The messages of TensorFlow, TF Serving and SavedModel that tfcanary reads and writes, as a compact table.

`messages` turns it into message classes, so that no step needs TensorFlow (ten seconds to import) for a file format.
One definition a line, continued by indentation, names and numbers as in the original .proto files (all proto3):

    Message.Nested: field type number, list [type] number, map {key:value} number, choice type number @oneof
    enum Name: VALUE number

A `?` after the number is an explicit `optional`, a `!` keeps the field's name in JSON as it is. A type is looked up in
its message, outwards, then in `tensorflow` and `google.protobuf`. Fields that are not listed are kept when a message is
written again.
"""

from __future__ import annotations

ERROR = """
enum Code: OK 0, CANCELLED 1, UNKNOWN 2, INVALID_ARGUMENT 3, DEADLINE_EXCEEDED 4, NOT_FOUND 5, ALREADY_EXISTS 6,
    PERMISSION_DENIED 7, UNAUTHENTICATED 16, RESOURCE_EXHAUSTED 8, FAILED_PRECONDITION 9, ABORTED 10,
    OUT_OF_RANGE 11, UNIMPLEMENTED 12, INTERNAL 13, UNAVAILABLE 14, DATA_LOSS 15,
    DO_NOT_USE_RESERVED_FOR_FUTURE_EXPANSION_USE_DEFAULT_IN_SWITCH_INSTEAD_ 20
"""

TENSORFLOW = """
AssetFileDef: tensor_info TensorInfo 1, filename string 2
AttrValue: s bytes 2 @value, i int64 3 @value, f float 4 @value, b bool 5 @value, type DataType 6 @value,
    shape TensorShapeProto 7 @value, tensor TensorProto 8 @value, list ListValue 1 @value,
    func NameAttrList 10 @value, placeholder string 9 @value
AttrValue.ListValue: s [bytes] 2, i [int64] 3, f [float] 4, b [bool] 5, type [DataType] 6,
    shape [TensorShapeProto] 7, tensor [TensorProto] 8, func [NameAttrList] 9
BundleEntryProto: dtype DataType 1, shape TensorShapeProto 2, shard_id int32 3, offset int64 4, size int64 5,
    crc32c fixed32 6, slices [TensorSliceProto] 7
BundleHeaderProto: num_shards int32 1, endianness Endianness 2, version VersionDef 3
enum BundleHeaderProto.Endianness: LITTLE 0, BIG 1
BytesList: value [bytes] 1
CapturedTensor: name string 1, concrete_function string 2
CollectionDef: node_list NodeList 1 @kind, bytes_list BytesList 2 @kind, int64_list Int64List 3 @kind,
    float_list FloatList 4 @kind, any_list AnyList 5 @kind
CollectionDef.AnyList: value [Any] 1
CollectionDef.BytesList: value [bytes] 1
CollectionDef.FloatList: value [float] 1
CollectionDef.Int64List: value [int64] 1
CollectionDef.NodeList: value [string] 1
enum DataType: DT_INVALID 0, DT_FLOAT 1, DT_DOUBLE 2, DT_INT32 3, DT_UINT8 4, DT_INT16 5, DT_INT8 6, DT_STRING 7,
    DT_COMPLEX64 8, DT_INT64 9, DT_BOOL 10, DT_QINT8 11, DT_QUINT8 12, DT_QINT32 13, DT_BFLOAT16 14, DT_QINT16 15,
    DT_QUINT16 16, DT_UINT16 17, DT_COMPLEX128 18, DT_HALF 19, DT_RESOURCE 20, DT_VARIANT 21, DT_UINT32 22,
    DT_UINT64 23, DT_FLOAT8_E5M2 24, DT_FLOAT8_E4M3FN 25, DT_FLOAT8_E4M3FNUZ 26, DT_FLOAT8_E4M3B11FNUZ 27,
    DT_FLOAT8_E5M2FNUZ 28, DT_INT4 29, DT_UINT4 30, DT_INT2 31, DT_UINT2 32, DT_FLOAT4_E2M1FN 33, DT_FLOAT_REF 101,
    DT_DOUBLE_REF 102, DT_INT32_REF 103, DT_UINT8_REF 104, DT_INT16_REF 105, DT_INT8_REF 106, DT_STRING_REF 107,
    DT_COMPLEX64_REF 108, DT_INT64_REF 109, DT_BOOL_REF 110, DT_QINT8_REF 111, DT_QUINT8_REF 112, DT_QINT32_REF 113,
    DT_BFLOAT16_REF 114, DT_QINT16_REF 115, DT_QUINT16_REF 116, DT_UINT16_REF 117, DT_COMPLEX128_REF 118,
    DT_HALF_REF 119, DT_RESOURCE_REF 120, DT_VARIANT_REF 121, DT_UINT32_REF 122, DT_UINT64_REF 123,
    DT_FLOAT8_E5M2_REF 124, DT_FLOAT8_E4M3FN_REF 125, DT_FLOAT8_E4M3FNUZ_REF 126, DT_FLOAT8_E4M3B11FNUZ_REF 127,
    DT_FLOAT8_E5M2FNUZ_REF 128, DT_INT4_REF 129, DT_UINT4_REF 130, DT_INT2_REF 131, DT_UINT2_REF 132,
    DT_FLOAT4_E2M1FN_REF 133
Example: features Features 1
Feature: bytes_list BytesList 1 @kind, float_list FloatList 2 @kind, int64_list Int64List 3 @kind
FeatureList: feature [Feature] 1
FeatureLists: feature_list {string:FeatureList} 1
Features: feature {string:Feature} 1
FingerprintDef: saved_model_checksum uint64 1, graph_def_program_hash uint64 2, signature_def_hash uint64 3,
    saved_object_graph_hash uint64 4, checkpoint_hash uint64 5, uuid string 7, version VersionDef 6
FloatList: value [float] 1
FunctionDef: signature OpDef 1, attr {string:AttrValue} 5, arg_attr {uint32:ArgAttrs} 7,
    resource_arg_unique_id {uint32:uint32} 8, node_def [NodeDef] 3, ret {string:string} 4,
    control_ret {string:string} 6
FunctionDef.ArgAttrs: attr {string:AttrValue} 1
FunctionDefLibrary: function [FunctionDef] 1, gradient [GradientDef] 2, registered_gradients [RegisteredGradient] 3
GradientDef: function_name string 1, gradient_func string 2
GraphDef: node [NodeDef] 1, versions VersionDef 4, version int32 3, library FunctionDefLibrary 2
Int64List: value [int64] 1
MetaGraphDef: meta_info_def MetaInfoDef 1, graph_def GraphDef 2, saver_def SaverDef 3,
    collection_def {string:CollectionDef} 4, signature_def {string:SignatureDef} 5, asset_file_def [AssetFileDef] 6,
    object_graph_def SavedObjectGraph 7
MetaGraphDef.MetaInfoDef: meta_graph_version string 1, stripped_op_list OpList 2, any_info Any 3, tags [string] 4,
    tensorflow_version string 5, tensorflow_git_version string 6, stripped_default_attrs bool 7,
    function_aliases {string:string} 8
NameAttrList: name string 1, attr {string:AttrValue} 2
NamedTensorProto: name string 1, tensor TensorProto 2
NodeDef: name string 1, op string 2, input [string] 3, device string 4, attr {string:AttrValue} 5,
    experimental_debug_info ExperimentalDebugInfo 6
NodeDef.ExperimentalDebugInfo: original_node_names [string] 1, original_func_names [string] 2
OpDef: name string 1, input_arg [ArgDef] 2, output_arg [ArgDef] 3, control_output [string] 20, attr [AttrDef] 4,
    deprecation OpDeprecation 8, summary string 5, description string 6, is_commutative bool 18,
    is_aggregate bool 16, is_stateful bool 17, allows_uninitialized_input bool 19,
    is_distributed_communication bool 21
OpDef.ArgDef: name string 1, description string 2, type DataType 3, type_attr string 4, number_attr string 5,
    type_list_attr string 6, handle_data [ResourceHandleProto.DtypeAndShape] 7, is_ref bool 16
OpDef.AttrDef: name string 1, type string 2, default_value AttrValue 3, description string 4, has_minimum bool 5,
    minimum int64 6, allowed_values AttrValue 7
OpDeprecation: version int32 1, explanation string 2
OpList: op [OpDef] 1
RegisteredGradient: gradient_func string 1, registered_op_type string 2
RegisteredSaver: name string 1, object_name string 2
ResourceHandleProto: device string 1, container string 2, name string 3, hash_code uint64 4,
    maybe_type_name string 5, dtypes_and_shapes [DtypeAndShape] 6
ResourceHandleProto.DtypeAndShape: dtype DataType 1, shape TensorShapeProto 2
SaveableObject: save_function int32 2, restore_function int32 3
SavedAsset: asset_file_def_index int32 1
SavedBareConcreteFunction: concrete_function_name string 1, argument_keywords [string] 2,
    allowed_positional_arguments int64 3
SavedConcreteFunction: bound_inputs [int32] 2
SavedConstant: operation string 1
SavedFunction: concrete_functions [string] 1
SavedModel: saved_model_schema_version int64 1, meta_graphs [MetaGraphDef] 2
SavedObject: children [TrackableObjectGraph.TrackableObject.ObjectReference] 1,
    dependencies [TrackableObjectGraph.TrackableObject.ObjectReference] 15,
    slot_variables [TrackableObjectGraph.TrackableObject.SlotVariableReference] 3,
    user_object SavedUserObject 4 @kind, asset SavedAsset 5 @kind, function SavedFunction 6 @kind,
    variable SavedVariable 7 @kind, bare_concrete_function SavedBareConcreteFunction 8 @kind,
    constant SavedConstant 9 @kind, resource SavedResource 10 @kind, captured_tensor CapturedTensor 12 @kind,
    saveable_objects {string:SaveableObject} 11, registered_name string 13, serialized_user_proto Any 14,
    registered_saver string 16
SavedObjectGraph: nodes [SavedObject] 1, concrete_functions {string:SavedConcreteFunction} 2
SavedResource: device string 1
SavedUserObject: identifier string 1, version VersionDef 2, metadata string 3
SavedVariable: dtype DataType 1, shape TensorShapeProto 2, trainable bool 3,
    synchronization VariableSynchronization 4, aggregation VariableAggregation 5, name string 6, device string 7,
    experimental_distributed_variable_components [SavedVariable] 8
SaverDef: filename_tensor_name string 1, save_tensor_name string 2, restore_op_name string 3, max_to_keep int32 4,
    sharded bool 5, keep_checkpoint_every_n_hours float 6, version CheckpointFormatVersion 7
enum SaverDef.CheckpointFormatVersion: LEGACY 0, V1 1, V2 2
SequenceExample: context Features 1, feature_lists FeatureLists 2
SignatureDef: inputs {string:TensorInfo} 1, outputs {string:TensorInfo} 2, method_name string 3,
    defaults {string:TensorProto} 4
TensorInfo: name string 1 @encoding, coo_sparse CooSparse 4 @encoding, composite_tensor CompositeTensor 5 @encoding,
    dtype DataType 2, tensor_shape TensorShapeProto 3
TensorInfo.CompositeTensor: type_spec TypeSpecProto 1, components [TensorInfo] 2
TensorInfo.CooSparse: values_tensor_name string 1, indices_tensor_name string 2, dense_shape_tensor_name string 3
TensorProto: dtype DataType 1, tensor_shape TensorShapeProto 2, version_number int32 3, tensor_content bytes 4,
    half_val [int32] 13, float_val [float] 5, double_val [double] 6, int_val [int32] 7, string_val [bytes] 8,
    scomplex_val [float] 9, int64_val [int64] 10, bool_val [bool] 11, dcomplex_val [double] 12,
    resource_handle_val [ResourceHandleProto] 14, variant_val [VariantTensorDataProto] 15, uint32_val [uint32] 16,
    uint64_val [uint64] 17, float8_val bytes 18
TensorShapeProto: dim [Dim] 2, unknown_rank bool 3
TensorShapeProto.Dim: size int64 1, name string 2
TensorSliceProto: extent [Extent] 1
TensorSliceProto.Extent: start int64 1, length int64 2 @has_length_hack
TrackableObjectGraph: nodes [TrackableObject] 1
TrackableObjectGraph.TrackableObject: children [ObjectReference] 1, attributes [SerializedTensor] 2,
    slot_variables [SlotVariableReference] 3, registered_saver RegisteredSaver 4, has_checkpoint_values BoolValue 5
TrackableObjectGraph.TrackableObject.ObjectReference: node_id int32 1, local_name string 2
TrackableObjectGraph.TrackableObject.SerializedTensor: name string 1, full_name string 2, checkpoint_key string 3
TrackableObjectGraph.TrackableObject.SlotVariableReference: original_variable_node_id int32 1, slot_name string 2,
    slot_variable_node_id int32 3
TypeSpecProto: type_spec_class TypeSpecClass 1, type_spec_class_name string 3, num_flat_components int32 4
enum TypeSpecProto.TypeSpecClass: UNKNOWN 0, SPARSE_TENSOR_SPEC 1, INDEXED_SLICES_SPEC 2, RAGGED_TENSOR_SPEC 3,
    TENSOR_ARRAY_SPEC 4, DATA_DATASET_SPEC 5, DATA_ITERATOR_SPEC 6, OPTIONAL_SPEC 7, PER_REPLICA_SPEC 8,
    VARIABLE_SPEC 9, ROW_PARTITION_SPEC 10, REGISTERED_TYPE_SPEC 12, EXTENSION_TYPE_SPEC 13
enum VariableAggregation: VARIABLE_AGGREGATION_NONE 0, VARIABLE_AGGREGATION_SUM 1, VARIABLE_AGGREGATION_MEAN 2,
    VARIABLE_AGGREGATION_ONLY_FIRST_REPLICA 3
enum VariableSynchronization: VARIABLE_SYNCHRONIZATION_AUTO 0, VARIABLE_SYNCHRONIZATION_NONE 1,
    VARIABLE_SYNCHRONIZATION_ON_WRITE 2, VARIABLE_SYNCHRONIZATION_ON_READ 3
VariantTensorDataProto: type_name string 1, metadata bytes 2, tensors [TensorProto] 3
VersionDef: producer int32 1, min_consumer int32 2, bad_consumers [int32] 3
"""

SERVING = """
Class: label string 1, score float 2
ClassificationRequest: model_spec ModelSpec 1, input Input 2
ClassificationResponse: model_spec ModelSpec 2, result ClassificationResult 1
ClassificationResult: classifications [Classifications] 1
Classifications: classes [Class] 1
ClassifyLog: request ClassificationRequest 1, response ClassificationResponse 2
ExampleList: examples [Example] 1
ExampleListWithContext: examples [Example] 1, context Example 2
FileSystemStoragePathSourceConfig: servables [ServableToMonitor] 5, file_system_poll_wait_seconds int64 3,
    fail_if_zero_versions_at_startup bool 4, servable_versions_always_present bool 6
FileSystemStoragePathSourceConfig.ServableToMonitor: servable_name string 1, base_path string 2,
    servable_version_policy ServableVersionPolicy 4
FileSystemStoragePathSourceConfig.ServableVersionPolicy: latest Latest 100 @policy_choice,
    all All 101 @policy_choice, specific Specific 102 @policy_choice
FileSystemStoragePathSourceConfig.ServableVersionPolicy.All:
FileSystemStoragePathSourceConfig.ServableVersionPolicy.Latest: num_versions uint32 1
FileSystemStoragePathSourceConfig.ServableVersionPolicy.Specific: versions [int64] 1
GetModelMetadataRequest: model_spec ModelSpec 1, metadata_field [string] 2
GetModelMetadataResponse: model_spec ModelSpec 1, metadata {string:Any} 2
GetModelStatusRequest: model_spec ModelSpec 1
GetModelStatusResponse: model_version_status [ModelVersionStatus] 1 !
InferenceResult: model_spec ModelSpec 1, classification_result ClassificationResult 2 @result,
    regression_result RegressionResult 3 @result
InferenceTask: model_spec ModelSpec 1, method_name string 2
Input: example_list ExampleList 1 @kind, example_list_with_context ExampleListWithContext 2 @kind
LogCollectorConfig: type string 1, filename_prefix string 2
LoggingConfig: log_collector_config LogCollectorConfig 1, sampling_config SamplingConfig 2,
    custom_logging_config Any 3
LogMetadata: model_spec ModelSpec 1, sampling_config SamplingConfig 2, saved_model_tags [string] 3,
    timestamp_secs int64 4, dc string 5, request_origin string 6, request_criticality string 7,
    safe_aggregation_privacy_key int64 8
Metric: name string 1, int64_value_increase int64 2 @value_increase
ModelConfig: name string 1, base_path string 2, model_type ModelType 3, model_platform string 4,
    model_version_policy FileSystemStoragePathSourceConfig.ServableVersionPolicy 7, version_labels {string:int64} 8,
    logging_config LoggingConfig 6
ModelConfigList: config [ModelConfig] 1
ModelServerConfig: model_config_list ModelConfigList 1 @config, custom_model_config Any 2 @config
ModelSpec: name string 1, version Int64Value 2 @version_choice, version_label string 4 @version_choice,
    signature_name string 3
enum ModelType: MODEL_TYPE_UNSPECIFIED 0, TENSORFLOW 1, OTHER 2
ModelVersionStatus: version int64 1, state State 2, status StatusProto 3
enum ModelVersionStatus.State: UNKNOWN 0, START 10, LOADING 20, AVAILABLE 30, UNLOADING 40, END 50
MonitoringConfig: prometheus_config PrometheusConfig 1
MultiInferenceLog: request MultiInferenceRequest 1, response MultiInferenceResponse 2
MultiInferenceRequest: tasks [InferenceTask] 1, input Input 2
MultiInferenceResponse: results [InferenceResult] 1
PerTaskSamplingConfig: dc string 1, task_index int32 2 ?, sampling_rate double 3
PredictionLog: log_metadata LogMetadata 1, classify_log ClassifyLog 2 @log_type, regress_log RegressLog 3 @log_type,
    predict_log PredictLog 6 @log_type, predict_streamed_log PredictStreamedLog 7 @log_type,
    multi_inference_log MultiInferenceLog 4 @log_type, session_run_log SessionRunLog 5 @log_type
PredictLog: request PredictRequest 1, response PredictResponse 2
PredictRequest: model_spec ModelSpec 1, inputs {string:TensorProto} 2, output_filter [string] 3,
    predict_streamed_options PredictStreamedOptions 5, client_id bytes 6 ?, request_options RequestOptions 7 ?
PredictRequest.RequestOptions: client_id bytes 1 ?, deterministic_mode DeterministicMode 2 ?,
    return_additional_arrays_from_prefill bool 3 ?, return_stoptokens [int64] 4, return_all_stoptokens bool 9 ?,
    max_cache_length int64 6 ?, handshake Handshake 13 ?
enum PredictRequest.RequestOptions.DeterministicMode: DETERMINISTIC_MODE_UNSPECIFIED 0, FIXED_DECODER_SLOT 1
PredictRequest.RequestOptions.Handshake: estimated_payload_bytes int64 1
PredictResponse: model_spec ModelSpec 2, outputs {string:TensorProto} 1
PredictStreamedLog: request [PredictRequest] 1, response [PredictResponse] 2
PredictStreamedOptions: request_state RequestState 1, split_dimensions {string:int32} 2,
    return_single_response bool 3
enum PredictStreamedOptions.RequestState: NONE 0, SPLIT 1, END_SPLIT 2, CANCEL 3
PrometheusConfig: enable bool 1, path string 2
Regression: value float 1
RegressionRequest: model_spec ModelSpec 1, input Input 2
RegressionResponse: model_spec ModelSpec 2, result RegressionResult 1
RegressionResult: regressions [Regression] 1
RegressLog: request RegressionRequest 1, response RegressionResponse 2
ReloadConfigRequest: config ModelServerConfig 1, metric_names [string] 2
ReloadConfigResponse: status StatusProto 1, metric [Metric] 2
SamplingConfig: sampling_rate double 1, per_task_sampling_configs [PerTaskSamplingConfig] 3, attributes int32 2
SessionRunLog: request SessionRunRequest 1, response SessionRunResponse 2
SessionRunRequest: model_spec ModelSpec 1, feed [NamedTensorProto] 2, fetch [string] 3, target [string] 4,
    tensor_name_is_alias bool 6
SessionRunResponse: model_spec ModelSpec 3, tensor [NamedTensorProto] 1
SignatureDefMap: signature_def {string:SignatureDef} 1
StatusProto: error_code error.Code 1 !, error_message string 2 !
"""

KERAS = """
SavedMetadata: nodes [SavedObject] 1
SavedObject: node_id int32 2, node_path string 3, identifier string 4, metadata string 5, version VersionDef 6
VersionDef: producer int32 1, min_consumer int32 2, bad_consumers [int32] 3
"""

TABLES = {
    "tensorflow.error": ERROR,
    "tensorflow": TENSORFLOW,
    "tensorflow.serving": SERVING,
    "third_party.tensorflow.python.keras.protobuf": KERAS,
}
"""Package to definitions; a package uses only its own types and those above it."""
