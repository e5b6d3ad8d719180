//! What a server says of its health.

use tonic_health::pb::HealthCheckResponse;
use tonic_health::pb::health_check_response::ServingStatus;

/// The health of a server, or of one of its services.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Health {
    /// It does not say, or in a word that is newer than this client.
    Unknown,
    /// It serves.
    Serving,
    /// It is starting, or draining.
    NotServing,
    /// It does not know the service.
    ServiceUnknown,
}

impl From<HealthCheckResponse> for Health {
    fn from(response: HealthCheckResponse) -> Self {
        match response.status() {
            ServingStatus::Unknown => Self::Unknown,
            ServingStatus::Serving => Self::Serving,
            ServingStatus::NotServing => Self::NotServing,
            ServingStatus::ServiceUnknown => Self::ServiceUnknown,
        }
    }
}
