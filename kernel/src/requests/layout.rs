//! Where a request keeps what is asked of it.
//!
//! In: the kernel's types. Out: places, in bytes. A kernel that lacks one is
//! refused here; the kernel itself checks the places against its types.

use super::RequestsError;
use super::btf::Types;

/// Where the running kernel describes its types.
pub(super) const TYPES: &str = "/sys/kernel/btf/vmlinux";

/// The tracepoint, as the types name it, and its parameters behind its own
/// data: the request, an error, the bytes that are done. So in every Linux from
/// 5.5 on (include/trace/events/block.h).
const TRACEPOINT: &str = "btf_trace_block_rq_complete";
const PARAMETERS: usize = 4;

/// From a request to the number of the cgroup it is for: that of its first bio,
/// which a page that is written back keeps from whoever made it dirty.
const CGROUP: [&str; 7] = ["bio", "bi_blkg", "blkcg", "css", "cgroup", "kn", "id"];

/// Places in a request.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Layout {
    /// The tracepoint's number among the types.
    pub tracepoint: u32,
    /// Bytes still to be done, 32 bits.
    pub left: i16,
    /// When it was made, in nanoseconds of the monotonic clock.
    pub begin: i16,
    /// Loads to the cgroup's number.
    pub cgroup: Vec<i16>,
}

impl Layout {
    /// Finds them in these types.
    pub(super) fn find(bytes: &[u8]) -> Result<Layout, RequestsError> {
        let lacks = |what| move || RequestsError::Unlike { what };
        let types = Types::parse(bytes).ok_or_else(lacks("types that are understood"))?;
        let tracepoint = types.typedef(TRACEPOINT).ok_or_else(lacks(TRACEPOINT))?;
        let parameters = types.parameters(tracepoint).unwrap_or_default();
        let request = match parameters[..] {
            [_, request, _, _] if parameters.len() == PARAMETERS => request,
            _ => return Err(lacks("block_rq_complete's parameters")()),
        };
        let one = |name: &'static str| {
            let path = types.path(request, &[name]);
            let at = path.and_then(|path| path.first().copied());
            at.ok_or_else(lacks(name))
        };
        Ok(Layout {
            tracepoint,
            left: one("__data_len")?,
            begin: one("start_time_ns")?,
            cgroup: types
                .path(request, &CGROUP)
                .ok_or_else(lacks("a request's cgroup"))?,
        })
    }
}

#[cfg(test)]
mod tests {
    use packrank_skipped::skipped;

    use super::super::btf::tests::Blob;
    use super::*;

    /// The kernel's structs in small, as this test would have them.
    fn kernel(begin: &str) -> Blob {
        let mut blob = Blob::default();
        let long = blob.integer("u64", 8);
        let node = blob.structure("kernfs_node", &[("id", 320, long)]);
        let to_node = blob.pointer(node);
        let cgroup = blob.structure("cgroup", &[("kn", 128, to_node)]);
        let to_cgroup = blob.pointer(cgroup);
        let state = blob.structure("cgroup_subsys_state", &[("cgroup", 64, to_cgroup)]);
        let group = blob.structure("blkcg", &[("css", 192, state)]);
        let to_group = blob.pointer(group);
        let pair = blob.structure("blkcg_gq", &[("blkcg", 0, to_group)]);
        let to_pair = blob.pointer(pair);
        let bio = blob.structure("bio", &[("bi_blkg", 576, to_pair)]);
        let to_bio = blob.pointer(bio);
        let inner = blob.structure("", &[("rest", 0, long), ("bio", 64, to_bio)]);
        let members = [
            ("__data_len", 352, long),
            ("", 384, inner),
            (begin, 640, long),
        ];
        let request = blob.structure("request", &members);
        let to_request = blob.pointer(request);
        let to_any = blob.pointer(0);
        let function = blob.function(&[to_any, to_request, long, long]);
        let to_function = blob.pointer(function);
        blob.typedef(TRACEPOINT, to_function);
        blob
    }

    #[test]
    fn places_are_found_through_pointers_and_nameless_structs() {
        let layout = Layout::find(&kernel("start_time_ns").bytes()).unwrap();
        let wanted = Layout {
            tracepoint: layout.tracepoint,
            left: 44,
            begin: 80,
            cgroup: vec![48 + 8, 72, 0, 24 + 8, 16, 40],
        };
        assert_eq!(layout, wanted);
    }

    #[test]
    fn a_kernel_that_lacks_one_is_refused_by_its_name() {
        let error = Layout::find(&kernel("begin").bytes()).unwrap_err();
        assert!(error.to_string().ends_with("start_time_ns"), "{error}");
    }

    #[test]
    fn the_running_kernels_are_found() {
        let bytes = match std::fs::read(TYPES) {
            Ok(bytes) => bytes,
            Err(error) => {
                return skipped("the running kernel's types", &format!("{TYPES}: {error}"));
            }
        };
        let layout = Layout::find(&bytes).unwrap();
        println!("{layout:?}");
        // One load for each pointer: to the bio, its group in the queue, that
        // one's group, the cgroup, its node, and the number itself.
        assert_eq!(layout.cgroup.len(), 6);
        assert_ne!(layout.left, layout.begin);
        // Half a description is none.
        for length in [0, 1, 24, bytes.len() / 2, bytes.len() - 1] {
            assert!(Layout::find(&bytes[..length]).is_err(), "{length}");
        }
    }
}
