//! The host as drivers and checks see it. Every world has Rust types of its own
//! for the interfaces that these two share, so both get the same code.

/// `wit`, `wit_log`, `wit_clock`, `wit_net` and `wit_secrets` are modules of the
/// world's bindings; [`super::shared_conversions`] comes before it.
macro_rules! connected_host {
    () => {
        impl From<crate::Pending> for wit::Pending {
            fn from(pending: crate::Pending) -> Self {
                Self {
                    token: pending.token,
                    poll_after_ms: crate::guest::milliseconds(pending.poll_after),
                    message: pending.message,
                }
            }
        }

        impl From<wit::Fault> for crate::Fault {
            fn from(fault: wit::Fault) -> Self {
                match fault {
                    wit::Fault::Invalid(fields) => Self::Invalid(
                        fields
                            .into_iter()
                            .map(|field| crate::FieldFault {
                                path: field.path,
                                message: field.message,
                            })
                            .collect(),
                    ),
                    wit::Fault::NotFound(message) => Self::NotFound(message),
                    wit::Fault::Conflict(message) => Self::Conflict(message),
                    wit::Fault::Denied(message) => Self::Denied(message),
                    wit::Fault::Unavailable(retry) => Self::Unavailable {
                        message: retry.message,
                        after: retry.after_ms.map(std::time::Duration::from_millis),
                    },
                    wit::Fault::Permanent(message) => Self::Permanent(message),
                    wit::Fault::Unsupported(message) => Self::Unsupported(message),
                }
            }
        }

        /// What the host offers to drivers and checks.
        struct GuestHost;

        impl crate::Log for GuestHost {
            fn line(&self, level: crate::Level, message: &str) {
                crate::Log::line(&GuestLog, level, message);
            }
        }

        impl crate::Host for GuestHost {
            type Secret = wit_secrets::Secret;
            type Connection = wit_net::Connection;

            fn now_ms(&self) -> u64 {
                wit_clock::now_ms()
            }

            fn generate_secret(
                &self,
                name: &str,
                recipe: &crate::Recipe,
            ) -> Result<String, crate::Fault> {
                let recipe = wit_secrets::Recipe {
                    length: recipe.length,
                    alphabet: recipe.alphabet.clone(),
                };
                Ok(wit_secrets::generate(name, &recipe)?)
            }

            fn open_secret(&self, name: &str) -> Result<wit_secrets::Secret, crate::Fault> {
                Ok(wit_secrets::Secret::open(name)?)
            }

            fn connect(
                &self,
                host: &str,
                port: u16,
                security: &crate::net::Security,
            ) -> Result<wit_net::Connection, crate::Fault> {
                let security = match security {
                    crate::net::Security::Plaintext => wit_net::Security::Plaintext,
                    crate::net::Security::Tls(options) => wit_net::Security::Tls(options.into()),
                };
                Ok(wit_net::Connection::connect(host, port, &security)?)
            }

            fn http(
                &self,
                request: &crate::http::Request,
            ) -> Result<crate::http::Response, crate::Fault> {
                crate::guest::wasi::exchange(request)
            }

            fn elapsed(&self) -> std::time::Duration {
                crate::guest::wasi::elapsed()
            }

            fn random(&self, count: usize) -> Vec<u8> {
                crate::guest::wasi::random(count)
            }
        }

        impl From<&crate::net::TlsOptions> for wit_net::TlsOptions {
            fn from(options: &crate::net::TlsOptions) -> Self {
                Self { server_name: options.server_name.clone() }
            }
        }

        impl crate::net::Connection for wit_net::Connection {
            fn read(&mut self, max: u32) -> Result<Vec<u8>, crate::Fault> {
                Ok(wit_net::Connection::read(self, max)?)
            }

            fn write(&mut self, bytes: &[u8]) -> Result<(), crate::Fault> {
                Ok(wit_net::Connection::write(self, bytes)?)
            }

            fn start_tls(&mut self, options: &crate::net::TlsOptions) -> Result<(), crate::Fault> {
                Ok(wit_net::Connection::start_tls(self, &options.into())?)
            }
        }

        impl crate::Secret for wit_secrets::Secret {
            fn reference(&self) -> String {
                wit_secrets::Secret::reference(self)
            }

            fn reveal(&self) -> Result<Vec<u8>, crate::Fault> {
                Ok(wit_secrets::Secret::reveal(self)?)
            }
        }
    };
}
pub(super) use connected_host;
