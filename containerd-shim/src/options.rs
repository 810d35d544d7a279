//! The runtime's options, as the stock runc shim takes them.
//!
//! In: the `Any` of a Create request: `containerd.runc.v1.Options` from `ctr`
//! and Docker, or, from the CRI plugin and Docker's daemon.json for a shim
//! they do not know, a wrapper with the same names in TOML. Out: [`Options`].

use std::path::PathBuf;

use containerd_shim_protos::protobuf::well_known_types::any::Any;
use containerd_shim_protos::protobuf::{CodedInputStream, Message};
use containerd_shim_protos::shim::oci;
use packrank_core::rank::RuntimeClaim;
use packrank_shim::command::claim_by_flag;
use serde::Deserialize;

use crate::error::Error;

/// What the options say. Those of runc's shim have its names.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase", default, deny_unknown_fields)]
pub struct Options {
    /// The engine, by path or by name in PATH.
    pub binary_name: Option<PathBuf>,
    /// The engine's `--root`, above the namespace's folder.
    pub root: Option<PathBuf>,
    /// Cgroups by systemd.
    pub systemd_cgroup: bool,
    /// The engine's `--no-pivot`.
    pub no_pivot_root: bool,
    /// The engine's `--no-new-keyring`.
    pub no_new_keyring: bool,
    /// A cgroup for the shim itself.
    pub shim_cgroup: String,
    /// Owner of the container's pipes.
    pub io_uid: u32,
    /// Group of the container's pipes.
    pub io_gid: u32,
    /// Where a checkpoint lies; taken, and without meaning here.
    pub criu_image_path: String,
    /// Where CRIU works; taken, and without meaning here.
    pub criu_work_path: String,
    /// CRIU's program, as old configurations name it; without meaning here.
    pub criu_path: String,
    /// Ours: a policy file instead of `/etc/packrank`.
    pub policy: Option<PathBuf>,
    /// Ours: the class that this runtime claims for its containers.
    pub priority: Option<String>,
}

impl Options {
    /// Reads a request's options; none are the defaults.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn read(any: Option<&Any>) -> Result<Options, Error> {
        let Some(any) = any.filter(|any| !any.type_url.is_empty()) else {
            return Ok(Options::default());
        };
        let name = any.type_url.rsplit('/').next().unwrap_or_default();
        match name {
            "containerd.runc.v1.Options" => {
                let runc = oci::Options::parse_from_bytes(&any.value);
                Ok(Options::from(runc.map_err(|e| wrong(name, &e))?))
            }
            "runtimeoptions.v1.Options" => {
                let wrapped = Wrapped::parse(&any.value).map_err(|e| wrong(name, &e))?;
                Options::from_toml(&wrapped.text()?)
            }
            // What nobody gave options for: `ctr` sends an empty message.
            _ if any.value.is_empty() => Ok(Options::default()),
            _ => Err(wrong(name, &"these are no options of this runtime")),
        }
    }

    fn from_toml(text: &str) -> Result<Options, Error> {
        let options: Options = toml::from_str(text).map_err(|e| wrong("TOML", &e.message()))?;
        Ok(options)
    }

    /// The class that the options claim.
    ///
    /// # Errors
    /// When there is no such class.
    pub fn claim(&self) -> Result<Option<RuntimeClaim>, Error> {
        let claim = |class: &String| claim_by_flag(class.as_ref());
        let claimed = self.priority.as_ref().map(claim).transpose();
        let claimed = claimed.map_err(|e| wrong("Priority", &e))?;
        Ok(claimed.map(|claim| RuntimeClaim {
            claimed: "the runtime's option Priority".to_owned(),
            ..claim
        }))
    }
}

fn wrong(value: &str, problem: &dyn std::fmt::Display) -> Error {
    Error::Request {
        member: "runtime options",
        value: value.to_owned(),
        problem: problem.to_string(),
    }
}

impl From<oci::Options> for Options {
    fn from(runc: oci::Options) -> Options {
        let path = |text: String| Some(PathBuf::from(text)).filter(|p| !p.as_os_str().is_empty());
        Options {
            binary_name: path(runc.binary_name),
            root: path(runc.root),
            systemd_cgroup: runc.systemd_cgroup,
            no_pivot_root: runc.no_pivot_root,
            no_new_keyring: runc.no_new_keyring,
            shim_cgroup: runc.shim_cgroup,
            io_uid: runc.io_uid,
            io_gid: runc.io_gid,
            ..Options::default()
        }
    }
}

/// `runtimeoptions.v1.Options`: what TOML is wrapped in.
#[derive(Debug, Default)]
struct Wrapped {
    path: String,
    body: Vec<u8>,
}

impl Wrapped {
    /// Fields 2 and 3; field 1 names a type, which is always ours.
    fn parse(bytes: &[u8]) -> containerd_shim_protos::protobuf::Result<Wrapped> {
        /// Field 2, length-delimited.
        const PATH: u32 = 2 << 3 | 2;
        /// Field 3, length-delimited.
        const BODY: u32 = 3 << 3 | 2;
        let mut input = CodedInputStream::from_bytes(bytes);
        let mut wrapped = Wrapped::default();
        while let Some(tag) = input.read_raw_tag_or_eof()? {
            match tag {
                PATH => wrapped.path = input.read_string()?,
                BODY => wrapped.body = input.read_bytes()?,
                _ => input.skip_field(
                    containerd_shim_protos::protobuf::rt::WireType::new(tag & 7)
                        .unwrap_or(containerd_shim_protos::protobuf::rt::WireType::Varint),
                )?,
            }
        }
        Ok(wrapped)
    }

    /// The TOML: what is given, else what the file holds.
    fn text(&self) -> Result<String, Error> {
        if self.body.is_empty() && !self.path.is_empty() {
            return std::fs::read_to_string(&self.path).map_err(|e| wrong(&self.path, &e));
        }
        String::from_utf8(self.body.clone()).map_err(|e| wrong("TOML", &e))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn any(name: &str, value: Vec<u8>) -> Any {
        Any {
            type_url: name.to_owned(),
            value,
            ..Any::default()
        }
    }

    #[test]
    fn runcs_own_and_wrapped_say_the_same() {
        let runc = oci::Options {
            binary_name: "crun".to_owned(),
            systemd_cgroup: true,
            io_uid: 5,
            ..oci::Options::default()
        };
        let plain = any("containerd.runc.v1.Options", runc.write_to_bytes().unwrap());
        let text = b"BinaryName = \"crun\"\nSystemdCgroup = true\nIoUid = 5\n";
        let mut wrapped = vec![0x0a, 1, b'x', 0x1a, u8::try_from(text.len()).unwrap()];
        wrapped.extend(text);
        let wrapped = any("type.googleapis.com/runtimeoptions.v1.Options", wrapped);
        let options = Options::read(Some(&plain)).unwrap();
        assert_eq!(options.binary_name, Some("crun".into()));
        assert_eq!(options, Options::read(Some(&wrapped)).unwrap());
        assert_eq!(Options::read(None).unwrap(), Options::default());
    }

    #[test]
    fn what_is_no_option_is_named() {
        let error = Options::from_toml("BinaryNme = \"x\"")
            .unwrap_err()
            .to_string();
        assert!(error.contains("BinaryNme"), "{error}");
        let claim = Options::from_toml("Priority = \"urgent\"").unwrap().claim();
        let error = claim.unwrap_err().to_string();
        assert!(error.contains("\"urgent\" is no class"), "{error}");
        assert!(Options::read(Some(&any("other.Options", vec![1]))).is_err());
        assert!(Options::read(Some(&any("containerd.runc.v1.Options", vec![0xff]))).is_err());
    }
}
