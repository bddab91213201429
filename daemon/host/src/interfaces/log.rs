//! `deployd:host/log`: lines that are recorded on the step that caused the call.

use deployd_core::ports::LogLevel;

use crate::bindings::host_v0_1::deployd::host::log;
use crate::store::CallState;

impl log::Host for CallState {
    async fn line(&mut self, level: log::Level, message: String) -> wasmtime::Result<()> {
        let level = match level {
            log::Level::Debug => LogLevel::Debug,
            log::Level::Info => LogLevel::Info,
            log::Level::Warn => LogLevel::Warn,
            log::Level::Error => LogLevel::Error,
        };
        self.record.line(level, message);
        Ok(())
    }
}
