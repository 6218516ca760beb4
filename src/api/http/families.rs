//! Every metric by name: its kind, its labels, and what it means in one line. `docs/metrics.md` says when
//! to worry; a test holds both in step.
//!
//! Names follow the conventions of Prometheus: the prefix `portplex_`, base units (seconds, bytes),
//! `_total` on what only grows. What every process has is named as everywhere (`process_…`).
#![forbid(unsafe_code)]

/// What kind of metric it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Counter,
    Gauge,
    Histogram,
}

/// One metric.
#[derive(Debug)]
pub(super) struct Description {
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    pub(super) labels: &'static [&'static str],
    pub(super) help: &'static str,
}

macro_rules! families {
    ($($id:ident: $kind:ident $name:literal [$($label:literal)*] $help:literal;)*) => {
        /// The name of a metric.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(super) enum Family { $($id,)* }

        /// All of them, in the order in which they are written.
        pub(super) const FAMILIES: &[Description] = &[
            $(Description { name: $name, kind: Kind::$kind, labels: &[$($label),*], help: $help },)*
        ];
    };
}

families! {
    ListPorts: Gauge "portplex_list_ports" ["structure" "dvipa" "transport" "state"]
        "Ports of a list by state: free, held, quarantined, excluded; 65536 together.";
    ListFreeGroups: Gauge "portplex_list_free_groups" ["structure" "dvipa" "transport"]
        "Groups of a list of which every port is free and may be granted.";
    ListMembers: Gauge "portplex_list_members" ["structure" "dvipa" "transport"]
        "Stacks that have joined a list.";
    ListOpen: Gauge "portplex_list_open" ["structure" "dvipa" "transport"]
        "1 while a list grants, 0 once its DVIPA was deleted and it only drains.";
    Lists: Gauge "portplex_lists" ["structure"]
        "Lists, open and closed.";
    ListsLeftOut: Gauge "portplex_lists_left_out" ["structure"]
        "Lists that have no series of their own here, because there are more than 1024.";
    LeastFreePorts: Gauge "portplex_least_free_ports" ["structure" "transport"]
        "Free ports of that open list of a DVIPA that has the fewest, of all lists.";
    Ports: Gauge "portplex_ports" ["structure" "state"]
        "Ports of all lists by state: free, held, quarantined, excluded.";
    FiguresComplete: Gauge "portplex_figures_complete" ["structure"]
        "1 if the writer told all figures of lists and connectors in time for this scrape.";

    Connectors: Gauge "portplex_connectors" ["structure" "state"]
        "Connectors: active; waiting, that have not attached since the open; failed_persistent.";
    ConnectorPorts: Gauge "portplex_connector_ports" ["structure" "state"]
        "Ports that connectors hold, by the state of the connector.";
    Leases: Gauge "portplex_leases" ["structure" "state"]
        "Leases of connectors: running; over, the promised deadline has passed; none, nothing was promised.";
    Watchers: Gauge "portplex_watchers" ["structure"]
        "Watchers of a structure.";

    Grants: Counter "portplex_grants_total" ["structure"]
        "Grants made.";
    GrantedPorts: Counter "portplex_granted_ports_total" ["structure"]
        "Ports in those grants.";
    Releases: Counter "portplex_releases_total" ["structure"]
        "Releases of a grant or of a part of one.";
    ReleasedPorts: Counter "portplex_released_ports_total" ["structure"]
        "Ports given back by release; leave, disconnect and clean-up are not in it.";
    Requests: Counter "portplex_requests_total" ["structure" "kind"]
        "Requests and reads that the writer answered, refusals included, by kind.";
    Refusals: Counter "portplex_refusals_total" ["structure" "cause"]
        "Refusals by cause, as named in the operator's guide.";
    Events: Counter "portplex_events_total" ["structure" "kind"]
        "Events stored, by kind.";

    Frames: Counter "portplex_frames_total" ["structure"]
        "Frames written to the log, one sync each.";
    Records: Counter "portplex_records_total" ["structure"]
        "Records in those frames.";
    LogAppended: Counter "portplex_log_appended_bytes_total" ["structure"]
        "Bytes written to the log, padding included.";
    FrameRecords: Histogram "portplex_frame_records" ["structure"]
        "Records of one frame.";
    FrameSize: Histogram "portplex_frame_size_bytes" ["structure"]
        "Size of one frame.";
    CommitCommands: Histogram "portplex_commit_commands" ["structure"]
        "Commands that were answered by one sync.";
    Sync: Histogram "portplex_sync_seconds" ["structure"]
        "How long write and sync of one frame took.";
    SyncPending: Gauge "portplex_sync_pending_seconds" ["structure"]
        "How long the write and sync at work has taken so far; 0 if none is at work.";
    Queue: Histogram "portplex_queue_seconds" ["structure"]
        "How long the command that waited longest of each batch was in the queue.";
    QueueLength: Gauge "portplex_queue_length" ["structure"]
        "Commands that wait for the writer.";
    QueueLengthMax: Gauge "portplex_queue_length_max" ["structure"]
        "Commands that may wait; one more is refused as overloaded.";
    QueueRejected: Counter "portplex_queue_rejected_total" ["structure"]
        "Commands refused at a full queue.";

    DurableLsn: Gauge "portplex_durable_lsn" ["structure"]
        "The highest lsn that is durable.";
    Epoch: Gauge "portplex_epoch" ["structure"]
        "Opens of the store and histories begun since.";
    StoreInfo: Gauge "portplex_store_info" ["structure" "store" "history"]
        "1; its labels name the store and the history being written.";
    Failed: Gauge "portplex_failed" ["structure"]
        "1 once a write or sync failed: nothing is answered, the service must be started again.";
    StorageFull: Gauge "portplex_storage_full" ["structure"]
        "1 while the storage is full and nothing new is granted.";
    Stopped: Gauge "portplex_granting_stopped" ["structure" "cause"]
        "1 while granting is stopped for that cause.";
    Alarms: Counter "portplex_alarms_total" ["structure"]
        "Alarms raised; the last 64 are in the status.";

    Segments: Gauge "portplex_segments" ["structure"]
        "Segments of the log, history included.";
    LogSize: Gauge "portplex_log_size_bytes" ["structure"]
        "Bytes of those segments.";
    HistorySegments: Gauge "portplex_history_segments" ["structure"]
        "Segments that no recovery needs, kept to answer who held a port.";
    HistorySize: Gauge "portplex_history_size_bytes" ["structure"]
        "Bytes of those segments.";

    Checkpoints: Counter "portplex_checkpoints_total" ["structure" "result"]
        "Checkpoints made and failed.";
    CheckpointTime: Gauge "portplex_checkpoint_timestamp_seconds" ["structure"]
        "When the newest checkpoint was made, in Unix time.";
    CheckpointLsn: Gauge "portplex_checkpoint_lsn" ["structure"]
        "The lsn of the newest checkpoint; 0 if there is none.";
    CheckpointSize: Gauge "portplex_checkpoint_size_bytes" ["structure"]
        "Size of the newest checkpoint.";
    CheckpointTook: Gauge "portplex_checkpoint_duration_seconds" ["structure"]
        "How long the last checkpoint took to make.";
    CheckpointBehind: Gauge "portplex_checkpoint_behind_seconds" ["structure"]
        "How long there has been something in the log that no checkpoint has; 0 if there is nothing.";
    CheckpointBehindBytes: Gauge "portplex_checkpoint_behind_bytes" ["structure"]
        "Bytes of log that no checkpoint has.";

    RecoveryTook: Gauge "portplex_recovery_duration_seconds" ["structure"]
        "How long the open took.";
    RecoveryRecords: Gauge "portplex_recovery_records" ["structure"]
        "Records that the open replayed above its checkpoint.";
    RecoveryTorn: Gauge "portplex_recovery_torn_bytes" ["structure"]
        "Bytes of a torn frame that the open left out.";
    RecoveryWarnings: Gauge "portplex_recovery_warnings" ["structure"]
        "Warnings of the open.";

    BuildInfo: Gauge "portplex_build_info" ["version"]
        "1; its label names the release.";
    Draining: Gauge "portplex_draining" []
        "1 once the service ends and takes no new call.";
    Connections: Gauge "portplex_connections" ["door"]
        "Open connections by kind of door.";
    ConnectionsAccepted: Counter "portplex_connections_accepted_total" ["door"]
        "Connections accepted by kind of door.";
    ConnectionsRefused: Counter "portplex_connections_refused_total" ["cause"]
        "Connections closed before anything was served on them.";
    Streams: Gauge "portplex_streams" []
        "Streams of stacks.";
    WatchStreams: Gauge "portplex_watch_streams" []
        "Streams of watchers.";
    StreamCalls: Gauge "portplex_stream_calls_in_flight" []
        "Calls on streams of stacks that wait for their answers.";
    Calls: Counter "portplex_calls_total" ["method" "code"]
        "Calls of gRPC that ended, by method and code; a stream is one call.";
    CallsInFlight: Gauge "portplex_calls_in_flight" ["method"]
        "Calls of gRPC at work, by method; a stream is one call.";
    CallsRefused: Counter "portplex_calls_refused_total" ["cause"]
        "Calls that the service itself refused: no facility heard of them.";
    HttpRequests: Counter "portplex_http_requests_total" ["path" "code"]
        "HTTP requests that are no calls of gRPC, by the first step of the path and status.";

    ProcessResident: Gauge "process_resident_memory_bytes" []
        "Memory of the process that is in RAM.";
    ProcessCpu: Counter "process_cpu_seconds_total" []
        "Processor time of the process, user and system.";
    ProcessFiles: Gauge "process_open_fds" []
        "Open file descriptors of the process.";
    ProcessFilesMax: Gauge "process_max_fds" []
        "File descriptors that the process may open.";
    ProcessStart: Gauge "process_start_time_seconds" []
        "When the process started, in Unix time.";
}

impl Family {
    pub(super) fn description(self) -> &'static Description {
        &FAMILIES[self as usize]
    }
}
