//! Settings about secrets: their keys, and the places that they may be kept at
//! outside deployd. Nothing is allowed there unless it is said here.

use std::path::{Path, PathBuf};

use deployd_vault::{KeySettings, KvAddress, KvToken};
use serde::Deserialize;

use super::SettingsError;

/// The key of secrets, below the data directory.
const SECRETS_KEY: &str = "secrets.key";

/// Keys of secrets, and places where secrets may be kept.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct SecretsSettings {
    /// The variable of the environment that has the key, in base 64; without it,
    /// the key is in a file of the data directory.
    pub key_env: Option<String>,
    /// Variables of the keys before it.
    pub previous_key_envs: Vec<String>,
    /// Folders below which secrets may be files.
    pub files: Vec<PathBuf>,
    /// Variables that secrets may be: names, where `*` stands for any characters.
    pub environment: Vec<String>,
    /// The cluster whose Secrets secrets may be.
    pub kubernetes: Option<KubernetesSecrets>,
    /// The Vault or OpenBao that secrets may be in.
    pub vault: Option<VaultSecrets>,
}

/// As whom a cluster is asked for Secrets.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct KubernetesSecrets {
    /// A kubeconfig; its current context is used.
    pub kubeconfig: Option<PathBuf>,
    /// The service account of the pod that deployd runs in, instead.
    pub in_cluster: bool,
}

/// Where Vault is, and as whom it is asked.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct VaultSecrets {
    /// `https://HOST:PORT`.
    pub address: String,
    /// A file with the token, such as an agent's sink; read for each use.
    pub token_file: Option<PathBuf>,
    /// A variable of the environment with the token, instead.
    pub token_env: Option<String>,
    /// A file with the PEM of the authority of the server's certificate.
    pub ca_file: Option<PathBuf>,
    /// The namespace of all links.
    pub namespace: Option<String>,
}

impl SecretsSettings {
    /// Where the keys come from.
    pub(crate) fn keys(&self, data: &Path) -> KeySettings {
        KeySettings {
            file: data.join(SECRETS_KEY),
            variable: self.key_env.clone(),
            previous_variables: self.previous_key_envs.clone(),
        }
    }

    /// Variables of the daemon's own, which no secret may be.
    pub(crate) fn own_variables(&self) -> Vec<String> {
        let token = self.vault.iter().filter_map(|vault| vault.token_env.clone());
        self.key_env.iter().chain(&self.previous_key_envs).cloned().chain(token).collect()
    }

    /// What the daemon reads for secrets, so that it stays within reach. Of a
    /// file its folder: it is replaced by another of its name when it is renewed.
    pub(crate) fn reach(&self) -> Vec<PathBuf> {
        let kubeconfig = self.kubernetes.iter().filter_map(|cluster| cluster.kubeconfig.as_ref());
        let token = self.vault.iter().filter_map(|vault| vault.token_file.as_ref());
        let ca = self.vault.iter().filter_map(|vault| vault.ca_file.as_ref());
        let around = |file: &PathBuf| match file.parent() {
            // Nobody means all files of the machine.
            Some(folder) if folder != Path::new("/") && folder != Path::new("") => {
                folder.to_owned()
            }
            _ => file.clone(),
        };
        self.files.iter().cloned().chain(kubeconfig.chain(token).chain(ca).map(around)).collect()
    }

    /// Fails when a setting makes no sense.
    pub(crate) fn check(&self) -> Result<(), SettingsError> {
        let wrong = |what: &str| Err(SettingsError::Secrets(what.to_owned()));
        if self.files.iter().any(|folder| !folder.is_absolute()) {
            return wrong("secrets.files: expected absolute paths of folders");
        }
        if let Some(cluster) = &self.kubernetes
            && cluster.kubeconfig.is_some() == cluster.in_cluster
        {
            return wrong("secrets.kubernetes: expected either kubeconfig or in-cluster = true");
        }
        if let Some(vault) = &self.vault {
            vault.address()?.check().map_err(|error| SettingsError::Secrets(error.to_string()))?;
        }
        Ok(())
    }
}

impl VaultSecrets {
    pub(crate) fn address(&self) -> Result<KvAddress, SettingsError> {
        let token = match (&self.token_file, &self.token_env) {
            (Some(file), None) => KvToken::File(file.clone()),
            (None, Some(name)) => KvToken::Variable(name.clone()),
            _ => {
                let what = "secrets.vault: expected either token-file or token-env";
                return Err(SettingsError::Secrets(what.to_owned()));
            }
        };
        Ok(KvAddress {
            address: self.address.clone(),
            token,
            ca_file: self.ca_file.clone(),
            namespace: self.namespace.clone(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<SecretsSettings, String> {
        let settings: SecretsSettings = toml::from_str(text).map_err(|error| error.to_string())?;
        settings.check().map_err(|error| error.to_string())?;
        Ok(settings)
    }

    #[test]
    fn what_makes_no_sense_is_said() {
        for (text, says) in [
            ("files = ['run']", "absolute"),
            ("[kubernetes]", "either kubeconfig or in-cluster"),
            ("[kubernetes]\nkubeconfig = '/k'\nin-cluster = true", "either kubeconfig"),
            ("[vault]\naddress = 'https://v:8200'", "either token-file or token-env"),
            ("[vault]\naddress = 'v:8200'\ntoken-env = 'T'", "secrets.vault.address"),
            ("[vault]\naddress = 'https://u:hunter2@v'\ntoken-env = 'T'", "a user in it"),
            ("vaults = 1", "vault"),
        ] {
            let error = read(text).unwrap_err();
            assert!(error.contains(says) && !error.contains("hunter2"), "{text}: {error}");
        }
    }

    #[test]
    fn what_secrets_are_read_from_stays_within_reach() {
        let settings = read(
            "files = ['/run/secrets']\n\
             [kubernetes]\nkubeconfig = '/etc/deployd/kubeconfig'\n\
             [vault]\naddress = 'https://v:8200'\ntoken-file = '/run/vault/token'\nca-file = '/ca.pem'",
        )
        .unwrap();
        let reach = ["/run/secrets", "/etc/deployd", "/run/vault", "/ca.pem"].map(PathBuf::from);
        assert_eq!(settings.reach(), reach);
        assert_eq!(read("").unwrap().reach(), Vec::<PathBuf>::new());
    }
}
