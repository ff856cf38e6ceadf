//! The interface between a render and its environment.

/// The source of secrets, variables and the time of a render.  The methods are
/// called on the thread of the render.
pub trait TemplateHost: Send + Sync {
    /// The value of a secret.
    ///
    /// # Errors
    /// The reason why it is unavailable, without any part of the value.
    fn secret(&self, name: &str) -> Result<String, String>;
    /// True if secrets are placeholders in brackets, as in a preview.
    fn masked(&self) -> bool {
        false
    }
    /// The value of a variable, if it is set.
    fn variable(&self, name: &str) -> Option<String>;
    /// The time, in seconds since 1970.
    fn now(&self) -> i64;
}
