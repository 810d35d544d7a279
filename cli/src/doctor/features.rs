//! What the kernel was built with.
//!
//! In: its configuration (`/proc/config.gz`, `/boot/config-RELEASE` or
//! `/lib/modules/RELEASE/config`) and its modules. Out: whether a feature is
//! there, without asking the kernel for it, which would load it.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use flate2::read::GzDecoder;
use packrank_core::host::Roots;

/// Far more than any configuration has; a runaway file is not read to its end.
const MOST_BYTES: u64 = 4 << 20;

/// How it stands with a feature.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Support {
    /// Built in, or a module that is loaded or can be.
    Present,
    /// A module of this kernel whose file is not installed.
    NotInstalled,
    /// Not built.
    Absent,
    /// There is no configuration to be read.
    Unknown,
}

/// The kernel's features.
pub(super) struct Features {
    config: Option<String>,
    /// The lists of modules that are loaded, built in, and installed.
    modules: String,
}

impl Features {
    /// Reads them. `root` is the folder that is `/`.
    pub(super) fn read(root: &Path, roots: &Roots) -> Features {
        let release = text(&roots.proc.join("sys/kernel/osrelease")).unwrap_or_default();
        let folder = root.join("lib/modules").join(release.trim());
        let config = compressed(roots.proc.join("config.gz"))
            .or_else(|| text(&root.join(format!("boot/config-{}", release.trim()))))
            .or_else(|| text(&folder.join("config")));
        let lists = [
            roots.proc.join("modules"),
            folder.join("modules.builtin"),
            folder.join("modules.dep"),
        ];
        let lists: Vec<String> = lists.iter().filter_map(|path| text(path)).collect();
        Features {
            config,
            modules: lists.join("\n"),
        }
    }

    /// The option's or, where it is one, the module's presence.
    pub(super) fn support(&self, option: &str, module: &str) -> Support {
        let line = self.config.as_deref().and_then(|config| {
            let lines = config.lines();
            let line = |l: &str| l.strip_prefix(option).is_some_and(|l| l.starts_with('='));
            lines.into_iter().find(|l| line(l))
        });
        let listed = self.listed(module);
        match (line.and_then(|l| l.rsplit('=').next()), &self.config) {
            (Some("y"), _) => Support::Present,
            _ if listed => Support::Present,
            (Some(_), _) => Support::NotInstalled,
            (None, Some(_)) => Support::Absent,
            (None, None) => Support::Unknown,
        }
    }

    /// Whether a list names the module: `sch_htb 12288 0 …` of the loaded ones,
    /// `kernel/net/sched/sch_htb.ko.xz: …` of the others.
    fn listed(&self, module: &str) -> bool {
        self.modules.lines().any(|line| {
            let first = line.split([' ', ':']).next().unwrap_or_default();
            let name = first.rsplit('/').next().unwrap_or_default();
            let name = name.split(".ko").next().unwrap_or_default();
            name.replace('-', "_") == module
        })
    }
}

fn text(path: &Path) -> Option<String> {
    limited(File::open(path).ok()?)
}

fn compressed(path: PathBuf) -> Option<String> {
    limited(GzDecoder::new(File::open(path).ok()?))
}

fn limited(file: impl Read) -> Option<String> {
    let mut text = String::new();
    file.take(MOST_BYTES).read_to_string(&mut text).ok()?;
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn built_in_module_missing_file_absent_and_unknown() {
        let with = |config: Option<&str>, modules: &str| Features {
            config: config.map(str::to_owned),
            modules: modules.to_owned(),
        };
        let config = "CONFIG_IFB=m\nCONFIG_NET_SCH_HTB=y\n# CONFIG_X is not set\nCONFIG_IFBX=y\n";
        let ifb = |f: Features| f.support("CONFIG_IFB", "ifb");
        assert_eq!(ifb(with(Some(config), "")), Support::NotInstalled);
        let dep = "kernel/drivers/net/ifb.ko.xz: kernel/x.ko";
        assert_eq!(ifb(with(Some(config), dep)), Support::Present);
        assert_eq!(ifb(with(None, "ifb 16384 0 - Live 0x0")), Support::Present);
        assert_eq!(ifb(with(None, "ifb2 16384 0")), Support::Unknown);
        let absent = with(Some(config), "");
        assert_eq!(absent.support("CONFIG_X", "x"), Support::Absent);
        assert_eq!(
            absent.support("CONFIG_NET_SCH_HTB", "sch_htb"),
            Support::Present
        );
    }
}
