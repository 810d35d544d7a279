use super::*;

#[test]
fn requests_are_understood_whole_or_waited_for() {
    for (text, asked) in [
        (
            "GET /metrics HTTP/1.1\r\nHost: x\r\naccept: text/plain;q=0.5, \
             Application/OpenMetrics-Text;version=1.0.0\r\n\r\n",
            Some(Asked::Metrics),
        ),
        (
            "GET /metrics HTTP/1.1\r\nAccept: */*\r\n\r\n",
            Some(Asked::Older),
        ),
        ("GET /metrics?name=x HTTP/1.0\r\n\r\n", Some(Asked::Older)),
        ("GET / HTTP/1.1\r\n\r\n", Some(Asked::Other)),
        ("POST /metrics HTTP/1.1\r\n\r\n", Some(Asked::Change)),
        ("GET /metrics HTTP/1.1\r\nHost:", None),
        ("", None),
        ("\u{1}\u{2}\r\n\r\n", Some(Asked::Nonsense)),
    ] {
        assert_eq!(understand(text.as_bytes()), asked, "{text:?}");
    }
}

#[test]
fn only_the_loopback_is_listened_on() {
    assert!(Listener::tcp("127.0.0.1:0".parse().unwrap()).is_ok());
    let error = Listener::tcp("0.0.0.0:0".parse().unwrap()).unwrap_err();
    assert!(error.to_string().contains("loopback"), "{error}");
}

#[test]
fn many_packs_make_looks_rarer_and_never_too_rare() {
    assert_eq!(pause(Duration::from_millis(1)), EVERY);
    assert_eq!(pause(Duration::from_millis(20)), Duration::from_secs(8));
    assert_eq!(pause(Duration::from_secs(1)), LONGEST);
}

/// Idle clients on the loopback, which anybody on this host can be.
#[test]
fn a_full_listener_keeps_nobody_from_another() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("metrics.sock");
    let unix = UnixListener::bind(&path).unwrap();
    let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = tcp.local_addr().unwrap();
    let shared = Arc::new(Shared {
        page: Mutex::new(Page::of("# EOF\n".to_owned())),
        asked: Mutex::new(Instant::now()),
    });
    for listener in [Listener::Unix(unix), Listener::Tcp(tcp)] {
        let shared = shared.clone();
        thread::spawn(move || accept(&listener, &shared));
    }
    let idle: Vec<_> = (0..16)
        .map(|_| TcpStream::connect(address).unwrap())
        .collect();
    // The last one is closed only once the first eight are held.
    let _ = (&idle[15]).read(&mut [0]);
    let mut client = UnixStream::connect(&path).unwrap();
    client.write_all(b"GET /metrics HTTP/1.1\r\n\r\n").unwrap();
    let mut answer = String::new();
    client.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer:?}");
}
