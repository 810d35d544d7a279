use super::*;
use proptest::prelude::*;

#[test]
fn the_first_line_counts_all_but_waiting() {
    let stat = b"cpu  10 20 30 400 500 6 7 8 9 10\ncpu0 1 2 3\n";
    assert_eq!(busy_ticks(stat), Some(10 + 20 + 30 + 6 + 7 + 8));
}

#[test]
fn huge_pages_and_zfs_are_no_use_of_memory() {
    let proc = tempfile::tempdir().unwrap();
    let put = |name: &str, text: &str| {
        let path = proc.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    };
    let kib = |n: u64| Some(n * 1024);
    put(
        "meminfo",
        "MemTotal: 1000 kB\nMemAvailable: 54 kB\nSwapFree: 7 kB\nHugetlb: 940 kB\n",
    );
    put("vmstat", "pgscan_kswapd 1\npgscan_direct 2\n");
    let node = NodeReader::open(proc.path()).memory();
    assert_eq!(
        (node.memory_total, node.memory_available),
        (kib(60), kib(54))
    );
    assert_eq!((node.swap_free, node.reclaim.unwrap().direct), (kib(7), 2));

    put("meminfo", "MemTotal: 1000 kB\nMemAvailable: 60 kB\n");
    put(
        "spl/kstat/zfs/arcstats",
        "1 1 0x01\nname type data\nc_min 4 102400\nsize 4 819200\n",
    );
    let node = NodeReader::open(proc.path()).memory();
    assert_eq!(
        (node.memory_total, node.memory_available),
        (kib(1000), kib(760))
    );
}

proptest! {
    #[test]
    fn whatever_a_kernel_prints_is_read_or_left(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let _ = (busy_ticks(&bytes), Pressure::parse(&bytes), meminfo(&bytes));
    }

    #[test]
    fn numbers_of_any_size_are_no_reason_to_fall(words in prop::collection::vec("[0-9]{1,30}|[a-z:=.-]{1,6}|\n", 0..80)) {
        let text = format!("cpu  {}", words.join(" "));
        let bytes = text.as_bytes();
        let _ = (busy_ticks(bytes), Pressure::parse(bytes), meminfo(bytes));
    }
}
