//! Reasons of conditions and refusals, each with one text form.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::source::FetchReason;
use crate::store::StoreError;

/// Reason of a condition of an environment: what a pass of the reconciler led to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// Everything that is declared is live.
    Applied,
    /// A plan waits for approval.
    AwaitingApproval,
    /// The definitions cannot be compiled.
    CompileFailed,
    /// The probes of all connectors succeed.
    ConnectorsHealthy,
    /// The probe of a connector fails.
    ConnectorsUnhealthy,
    /// Another writer keeps undoing heals, so that the next one waits.
    ConflictLoop,
    /// The live generation differs from the declared one, and the environment only reports it.
    Drifted,
    /// Another process took the lease over.
    Fenced,
    /// A source could not be read.
    FetchFailed,
    /// The revision was left by a rollback or promotion and is not applied again.
    HeldBack,
    /// The definitions have errors.
    InvalidDefinitions,
    /// The Environment document has errors, and its last good version is in effect.
    InvalidEnvironment,
    /// Definitions with errors keep their last good version while the others are live.
    Isolated,
    /// A source holds no definition.
    NothingDeclared,
    /// The reconciler panicked and is restarted.
    Panicked,
    /// Not every process serves the generation yet.
    Progressing,
    /// A guard stops a removal.
    PruneBlocked,
    /// A trigger subscribes to events of an application that cannot call this server.
    PublicUrlUnknown,
    /// All secrets that definitions reference can be resolved.
    SecretsResolved,
    /// It is not known yet whether a secret can be resolved.
    SecretsUnknown,
    /// A secret that definitions reference cannot be resolved.
    SecretsUnresolved,
    /// A source cannot be used, or a file that definitions name cannot be read.
    Source(FetchReason),
    /// Another activation came first.
    Stale,
    /// A stored object is missing or damaged.
    StoreCorrupt,
    /// The store refuses the operation.
    StoreRefused,
    /// The store cannot be reached.
    StoreUnavailable,
    /// Nothing is applied until the environment is resumed.
    Suspended,
    /// A reason that this version does not know, as a newer one stored it.
    Unknown,
}

impl Reason {
    /// Every reason without a fetch reason.
    const PLAIN: [Reason; 27] = [
        Reason::Applied,
        Reason::AwaitingApproval,
        Reason::CompileFailed,
        Reason::ConnectorsHealthy,
        Reason::ConnectorsUnhealthy,
        Reason::ConflictLoop,
        Reason::Drifted,
        Reason::Fenced,
        Reason::FetchFailed,
        Reason::HeldBack,
        Reason::InvalidDefinitions,
        Reason::InvalidEnvironment,
        Reason::Isolated,
        Reason::NothingDeclared,
        Reason::Panicked,
        Reason::Progressing,
        Reason::PruneBlocked,
        Reason::PublicUrlUnknown,
        Reason::SecretsResolved,
        Reason::SecretsUnknown,
        Reason::SecretsUnresolved,
        Reason::Stale,
        Reason::StoreCorrupt,
        Reason::StoreRefused,
        Reason::StoreUnavailable,
        Reason::Suspended,
        Reason::Unknown,
    ];
    /// Every reason of a source.
    const FETCH: [FetchReason; 18] = [
        FetchReason::Unreachable,
        FetchReason::TimedOut,
        FetchReason::Unauthorized,
        FetchReason::RepositoryNotFound,
        FetchReason::RevisionNotFound,
        FetchReason::PathNotFound,
        FetchReason::UntrustedHost,
        FetchReason::Unsigned,
        FetchReason::BadSignature,
        FetchReason::UntrustedKey,
        FetchReason::ExpiredKey,
        FetchReason::RevokedKey,
        FetchReason::WrongNamespace,
        FetchReason::TooLarge,
        FetchReason::Corrupt,
        FetchReason::Invalid,
        FetchReason::SecretMissing,
        FetchReason::Unreadable,
    ];

    /// The text in statuses, metrics and logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Reason::Applied => "Applied",
            Reason::AwaitingApproval => "AwaitingApproval",
            Reason::CompileFailed => "CompileFailed",
            Reason::ConnectorsHealthy => "ConnectorsHealthy",
            Reason::ConnectorsUnhealthy => "ConnectorsUnhealthy",
            Reason::ConflictLoop => "ConflictLoop",
            Reason::Drifted => "Drifted",
            Reason::Fenced => "Fenced",
            Reason::FetchFailed => "FetchFailed",
            Reason::HeldBack => "HeldBack",
            Reason::InvalidDefinitions => "InvalidDefinitions",
            Reason::InvalidEnvironment => "InvalidEnvironment",
            Reason::Isolated => "Isolated",
            Reason::NothingDeclared => "NothingDeclared",
            Reason::Panicked => "Panicked",
            Reason::Progressing => "Progressing",
            Reason::PruneBlocked => "PruneBlocked",
            Reason::PublicUrlUnknown => "PublicUrlUnknown",
            Reason::SecretsResolved => "SecretsResolved",
            Reason::SecretsUnknown => "SecretsUnknown",
            Reason::SecretsUnresolved => "SecretsUnresolved",
            Reason::Source(reason) => fetch_text(reason),
            Reason::Stale => "Stale",
            Reason::StoreCorrupt => "StoreCorrupt",
            Reason::StoreRefused => "StoreRefused",
            Reason::StoreUnavailable => "StoreUnavailable",
            Reason::Suspended => "Suspended",
            Reason::Unknown => "Unknown",
        }
    }

    /// The reason of a text form; [`Reason::Unknown`] for all other texts.
    pub fn parse(text: &str) -> Reason {
        let all = Reason::PLAIN.into_iter().chain(Reason::FETCH.map(Reason::Source));
        all.into_iter().find(|reason| reason.as_str() == text).unwrap_or(Reason::Unknown)
    }

    /// True if another process activated a generation or leads by now.
    pub fn is_lost_race(self) -> bool {
        matches!(self, Reason::Fenced | Reason::Stale)
    }

    /// True if an applied revision after it is a recovery.
    pub fn is_failure(self) -> bool {
        !matches!(
            self,
            Reason::Progressing
                | Reason::AwaitingApproval
                | Reason::PruneBlocked
                | Reason::Suspended
                | Reason::HeldBack
        )
    }

    /// True if the store failed.
    pub fn is_of_store(self) -> bool {
        matches!(self, Reason::StoreCorrupt | Reason::StoreRefused | Reason::StoreUnavailable)
    }
}

fn fetch_text(reason: FetchReason) -> &'static str {
    match reason {
        FetchReason::Unreachable => "Unreachable",
        FetchReason::TimedOut => "TimedOut",
        FetchReason::Unauthorized => "Unauthorized",
        FetchReason::RepositoryNotFound => "RepositoryNotFound",
        FetchReason::RevisionNotFound => "RevisionNotFound",
        FetchReason::PathNotFound => "PathNotFound",
        FetchReason::UntrustedHost => "UntrustedHost",
        FetchReason::Unsigned => "Unsigned",
        FetchReason::BadSignature => "BadSignature",
        FetchReason::UntrustedKey => "UntrustedKey",
        FetchReason::ExpiredKey => "ExpiredKey",
        FetchReason::RevokedKey => "RevokedKey",
        FetchReason::WrongNamespace => "WrongNamespace",
        FetchReason::TooLarge => "TooLarge",
        FetchReason::Corrupt => "Corrupt",
        FetchReason::Invalid => "Invalid",
        FetchReason::SecretMissing => "SecretMissing",
        FetchReason::Unreadable => "Unreadable",
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for Reason {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for Reason {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Reason, D::Error> {
        Ok(Reason::parse(&String::deserialize(deserializer)?))
    }
}

/// A pass or command that did not change the live generation.
#[derive(Debug)]
pub(super) struct ReconcileError {
    /// Reason for conditions.
    pub(super) reason: Reason,
    /// One sentence: the cause and what to do.
    pub(super) message: String,
    /// True if only a new revision or an operator can help.
    pub(super) stalled: bool,
}

impl ReconcileError {
    /// An error that the next pass may not have.
    pub(super) fn retryable(reason: Reason, message: impl Into<String>) -> ReconcileError {
        ReconcileError { reason, message: message.into(), stalled: false }
    }

    /// An error that only a new revision or an operator ends.
    pub(super) fn stalled(reason: Reason, message: impl Into<String>) -> ReconcileError {
        ReconcileError { reason, message: message.into(), stalled: true }
    }
}

impl From<StoreError> for ReconcileError {
    fn from(error: StoreError) -> ReconcileError {
        let reason = match error {
            StoreError::Stale { .. } => Reason::Stale,
            StoreError::Fenced { .. } => Reason::Fenced,
            StoreError::Corrupt { .. } => Reason::StoreCorrupt,
            StoreError::Unavailable(_) => Reason::StoreUnavailable,
            _ => Reason::StoreRefused,
        };
        ReconcileError::retryable(reason, error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_reason_is_read_back_from_its_text() {
        for reason in Reason::PLAIN.into_iter().chain(Reason::FETCH.map(Reason::Source)) {
            assert_eq!(Reason::parse(reason.as_str()), reason);
            let json = serde_json::to_string(&reason).unwrap();
            assert_eq!(
                (json.trim_matches('"'), serde_json::from_str::<Reason>(&json).unwrap()),
                (reason.as_str(), reason)
            );
        }
        for reason in Reason::FETCH {
            assert_eq!(fetch_text(reason), reason.to_string());
        }
        assert_eq!(Reason::parse("FromTheFuture"), Reason::Unknown);
    }
}
