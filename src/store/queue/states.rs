//! States and kinds of the queue's rows. Each value has one text form, which is stored and shown.

/// Defines an enum whose values have one text form each, for the database, JSON and people alike.
macro_rules! text_enum {
    (
        $(#[$meta:meta])*
        pub enum $name:ident {
            $( $(#[$variant_meta:meta])* $variant:ident = $text:literal, )+
        }
    ) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
        pub enum $name {
            $( $(#[$variant_meta])* #[serde(rename = $text)] $variant, )+
        }

        impl $name {
            /// All values, in the order of their declaration.
            pub const ALL: &[$name] = &[$( $name::$variant, )+];

            /// The text form, as stored and shown.
            pub fn as_str(self) -> &'static str {
                match self {
                    $( $name::$variant => $text, )+
                }
            }

            /// The value with a text form; `None` for any other text.
            pub fn from_name(name: &str) -> Option<$name> {
                $name::ALL.iter().copied().find(|value| value.as_str() == name)
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}

text_enum! {
    /// The status of an execution.
    #[derive(Default)]
    pub enum ExecutionStatus {
        /// Waits to be claimed by a worker.
        #[default]
        Queued = "Queued",
        /// A worker holds its lease.
        Running = "Running",
        /// Suspended until a time, a signal or both.
        Waiting = "Waiting",
        /// Ended with an output.
        Completed = "Completed",
        /// Ended with an error.
        Failed = "Failed",
        /// Ended by a request to cancel it.
        Cancelled = "Cancelled",
        /// Ended because its timeout passed.
        TimedOut = "TimedOut",
    }
}

impl ExecutionStatus {
    /// The status with a text form in any case, as people type it; `None` for any other text.
    pub fn from_name_ignoring_case(name: &str) -> Option<ExecutionStatus> {
        ExecutionStatus::ALL.iter().copied().find(|status| status.as_str().eq_ignore_ascii_case(name))
    }

    /// True once the execution has ended; it then never changes again.
    pub fn is_final(self) -> bool {
        !matches!(self, ExecutionStatus::Queued | ExecutionStatus::Running | ExecutionStatus::Waiting)
    }
}

text_enum! {
    /// Origin of an execution, and the kind of an event.
    #[derive(Default)]
    pub enum TriggeredBy {
        /// A webhook that received an event.
        Webhook = "webhook",
        /// A schedule that was due.
        Schedule = "schedule",
        /// An event of an application: subscribed or polled.
        AppEvent = "appEvent",
        /// A person or a program, through the API.
        #[default]
        Manual = "manual",
        /// Another workflow.
        Workflow = "workflow",
    }
}

text_enum! {
    /// The status of a recorded step.
    #[derive(Default)]
    pub enum StepStatus {
        /// Ended with an output.
        #[default]
        Completed = "Completed",
        /// Ended with an error.
        Failed = "Failed",
        /// Suspended until a time or a signal.
        Waiting = "Waiting",
    }
}

text_enum! {
    /// The kind of a recorded step.
    #[derive(Default)]
    pub enum StepKind {
        /// A call of a connector's action.
        Action = "action",
        /// A durable step: a named part of a script or of a list of steps.
        #[default]
        Step = "step",
        /// A wait for a duration.
        Sleep = "sleep",
        /// A wait for an event from outside.
        Event = "event",
        /// A wait for an approval.
        Approval = "approval",
        /// A call of another workflow.
        Workflow = "workflow",
        /// A read or write of workflow state.
        State = "state",
        /// An HTTP request of a script.
        Fetch = "fetch",
    }
}

text_enum! {
    /// The kind of a signal that comes from outside of the store. (A child's result is a third one, which the store
    /// itself sends: see [`NewExecution::parent_signal`](super::NewExecution::parent_signal).)
    pub enum SignalKind {
        /// An event, for `ctx.waitForEvent`.
        Event = "event",
        /// An answer to a request for approval.
        Approval = "approval",
    }
}

impl SignalKind {
    /// The name under which a signal is stored, and the step that waits for it is recorded: kind, space, name.
    pub fn step_name(self, name: &str) -> String {
        format!("{self} {name}")
    }
}

text_enum! {
    /// The level of a log line.
    #[derive(Default)]
    pub enum LogLevel {
        /// Details for authors.
        Debug = "debug",
        /// Normal progress.
        #[default]
        Info = "info",
        /// A problem that the workflow handled.
        Warn = "warn",
        /// A failure.
        Error = "error",
    }
}

text_enum! {
    /// The result of routing an event.
    #[derive(Default)]
    pub enum EventOutcome {
        /// It started at least one execution.
        #[default]
        Started = "Started",
        /// No route matched.
        Unmatched = "Unmatched",
        /// Routes matched, but no execution could be made of it.
        Dead = "Dead",
    }
}

text_enum! {
    /// The reason for a dead letter.
    #[derive(Default)]
    pub enum DeadLetterReason {
        /// The execution failed for good.
        #[default]
        Failed = "Failed",
        /// No route matched the event.
        Unmatched = "Unmatched",
        /// A route matched, but no input could be made of the event.
        Unreadable = "Unreadable",
        /// The event does not fit what its connector declares: its change, its entity or its payload. The payload is kept
        /// as it was received.
        Invalid = "Invalid",
        /// The tenant of the event is suspended, not active yet, or not declared.
        Refused = "Refused",
    }
}

text_enum! {
    /// The status of a dead letter.
    #[derive(Default)]
    pub enum DeadLetterStatus {
        /// Ready to be replayed.
        #[default]
        Pending = "Pending",
        /// Replayed once.
        Replayed = "Replayed",
        /// Its retention passed; it is deleted after the same time again.
        Expired = "Expired",
    }
}

text_enum! {
    /// The status of a subscription at an application.
    #[derive(Default)]
    pub enum SubscriptionStatus {
        /// Requested; the application has not confirmed it yet.
        #[default]
        Subscribing = "Subscribing",
        /// Confirmed by the application.
        Subscribed = "Subscribed",
        /// Its removal is requested.
        Unsubscribing = "Unsubscribing",
        /// Refused by the application; retried at `retry_at`.
        Failed = "Failed",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_forms_are_read_back() {
        for status in ExecutionStatus::ALL {
            assert_eq!(ExecutionStatus::from_name(status.as_str()), Some(*status));
            assert_eq!(ExecutionStatus::from_name_ignoring_case(&status.as_str().to_lowercase()), Some(*status));
        }
        assert_eq!(ExecutionStatus::from_name("queued"), None);
        assert_eq!(ExecutionStatus::from_name_ignoring_case("Done"), None);
        assert_eq!(TriggeredBy::from_name("appEvent"), Some(TriggeredBy::AppEvent));
    }

    #[test]
    fn json_has_the_text_form() {
        assert_eq!(serde_json::to_value(TriggeredBy::AppEvent).unwrap(), "appEvent");
        assert_eq!(serde_json::from_value::<StepKind>("fetch".into()).unwrap(), StepKind::Fetch);
        assert!(serde_json::from_value::<LogLevel>("loud".into()).is_err());
    }
}
