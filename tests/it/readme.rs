//! The README's words: every command in it runs.
