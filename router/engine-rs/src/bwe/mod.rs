//! Send-side bandwidth estimation: what the path to one receiver carries, from how his packets arrive.
//!
//! Google's congestion control (draft-ietf-rmcat-gcc-02), as libwebrtc's `goog_cc` has it today, made for a server that
//! forwards layers without pacing; `docs/bwe.md` tells the parts and where they differ. One [`Estimator`] per receiver.
//! Sans-IO. Left out: ECN, and windows on what is in flight.

mod acked;
mod aimd;
mod arrivals;
mod budget;
mod drain;
mod estimator;
mod feedback;
mod groups;
mod loss;
mod outage;
mod overuse;
mod probe;
mod probe_result;
mod queue;
mod reports;
mod rtp_names;
mod sent;
mod sent_rate;
mod snapshot;
mod trendline;

pub use estimator::{Estimator, MAX_BPS, MIN_BPS};
pub use overuse::Usage;
pub use probe::{Probe, ProbeCluster};
pub use snapshot::{Counters, Limit, Snapshot};
