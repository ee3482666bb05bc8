//! The only place where Rust errors become Python exceptions: those of `router.errors`, or `OSError` with its errno.

use crate::io::engine::EngineError;
use pyo3::PyErr;
use pyo3::exceptions::PyOSError;
use pyo3::prelude::PyResult;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// The classes, imported from Python when first raised.
mod classes {
    use pyo3::import_exception;

    import_exception!(router.errors, ConfigError);
    import_exception!(router.errors, EngineBug);
    import_exception!(router.errors, EngineError);
    import_exception!(router.errors, EngineStateError);
}

/// A wrong argument; the text begins with the argument's name.
pub fn config(text: impl Into<String>) -> PyErr {
    classes::ConfigError::new_err(text.into())
}

/// An id that was never issued or is gone, or a closed engine.
pub fn state(text: impl Into<String>) -> PyErr {
    classes::EngineStateError::new_err(text.into())
}

/// A refusal that is neither the caller's fault nor the system's.
pub fn refused(text: impl Into<String>) -> PyErr {
    classes::EngineError::new_err(text.into())
}

/// A refusal of the operating system, about `subject`.
pub fn system(error: &io::Error, subject: &str) -> PyErr {
    let text = error.to_string();
    let text = text
        .split(" (os error")
        .next()
        .unwrap_or_default()
        .to_owned();
    match error.raw_os_error() {
        Some(code) => PyOSError::new_err((code, text, subject.to_owned())),
        None => PyOSError::new_err(format!("{text}: {subject}")),
    }
}

impl From<EngineError> for PyErr {
    fn from(error: EngineError) -> Self {
        match error {
            EngineError::Closed(_) => state(format!("the engine is closed: {error}")),
            EngineError::Busy(_) => refused(error.to_string()),
        }
    }
}

/// Runs the body of a Python call; a panic becomes `EngineBug`, which `except Exception` catches, unlike `PyO3`'s own.
pub fn guard<T>(call: impl FnOnce() -> PyResult<T>) -> PyResult<T> {
    catch_unwind(AssertUnwindSafe(call)).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<&str>().map(ToString::to_string);
        let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
        Err(classes::EngineBug::new_err(
            text.unwrap_or_else(|| "panic without a text".into()),
        ))
    })
}
