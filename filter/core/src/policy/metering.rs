//! Who is told what calls did cost.

use crate::keys::discovery::Target;
use crate::meter::delivery::Route;
use crate::secret::Secret;

/// Who is told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Metering {
    /// Whether OpenMeter's and the ledger's rows are made.
    pub route: Route,
    /// OpenMeter, if it is told.
    pub openmeter: Option<OpenMeter>,
    /// The most series of counters by user and model in this Envoy; 0: there are none.
    pub max_series: u32,
}

/// OpenMeter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenMeter {
    /// Where it takes events.
    pub target: Target,
    /// The whole `Authorization` value.
    pub authorization: Secret,
}
