//! Servers that do not keep to their protocol: silent ones, and a store that lies, breaks off, or answers at length.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;

use super::server::unit_on;
use super::unit::{CANARIES, Unit, check_refused};

/// Serves every request with the answer to its text, then closes; returns the port.
fn serve(answer: fn(&str) -> Vec<u8>) -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            thread::spawn(move || reply(stream, answer));
        }
    });
    port
}

fn reply(mut stream: TcpStream, answer: fn(&str) -> Vec<u8>) {
    let (mut request, mut byte) = (Vec::new(), [0]);
    // The whole of an HTTP request, or a PostgreSQL client's question whether there is TLS.
    let whole = |request: &[u8]| {
        request.ends_with(b"\r\n\r\n") || request.len() == 8 && request.starts_with(&[0, 0, 0, 8])
    };
    while !whole(&request) && stream.read(&mut byte).is_ok_and(|read| read == 1) {
        request.push(byte[0]);
    }
    let request = String::from_utf8_lossy(&request).into_owned();
    // The other side may have gone.
    let _ = stream.write_all(&answer(&request.to_lowercase()));
}

fn http(status: &str, length: usize, body: &[u8]) -> Vec<u8> {
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Length: {length}\r\nETag: \"x\"\r\n\
         Last-Modified: Wed, 25 Nov 2026 00:00:00 GMT\r\nConnection: close\r\n\r\n"
    );
    [head.as_bytes(), body].concat()
}

#[track_caller]
fn check_store(key: &str, answer: fn(&str) -> Vec<u8>, words: &[&str]) {
    let port = serve(answer);
    let unit = Unit::with(&format!(
        "customers.s3 = {{ url = \"s3://b/{key}\", endpoint = \"http://127.0.0.1:{port}\", region = \"r\", \
         credentials_file = \"c\", allow_http = true }}"
    ));
    let file = format!(
        "aws_access_key_id = {}\naws_secret_access_key = {}",
        CANARIES[3], CANARIES[2]
    );
    check_refused(&unit.secret("c", &file), words);
}

#[test]
fn stores_that_answer_nonsense_are_not_believed_and_not_quoted() {
    let value = CANARIES[1].as_bytes();
    assert_eq!(value, b"qxcanary-value");
    check_store(
        "c.csv",
        |_| http("500 Oops qxcanary-value", 14, b"qxcanary-value"),
        &["s3://b/c.csv", "error of its own"],
    );
    check_store(
        "c/",
        |_| http("200 OK", 14, b"qxcanary-value"),
        &["s3://b/c/", "error of its own"],
    );
    check_store(
        "c/",
        |_| http("403 No", 14, b"qxcanary-value"),
        &["refuses the credentials"],
    );
    check_store("c/", |_| http("301 Moved", 0, b""), &["another region"]);
    check_store(
        "c/",
        |_| b"qxcanary-value".to_vec(),
        &["s3://b/c/", "the connection to the store broke"],
    );
    // A hundred thousand attributes in one tag would take minutes to parse.
    let attributes: fn(&str) -> Vec<u8> = |_| {
        let list: String = (0..100_000).map(|n| format!(" a{n}=\"\"")).collect();
        let list = format!("<ListBucketResult{list}></ListBucketResult>");
        http("200 OK", list.len(), list.as_bytes())
    };
    check_store(
        "c/",
        attributes,
        &["the store's list of objects is not as S3 writes it"],
    );
    let endless: fn(&str) -> Vec<u8> = |_| http("200 OK", 64 << 20, &vec![b' '; 64 << 20]);
    check_store("c/", endless, &["the store's list of objects is too long"]);
    // Says that there are 100 bytes, and breaks off after some.
    let cut: fn(&str) -> Vec<u8> = |request| match request {
        _ if request.starts_with("head") => http("200 OK", 100, b""),
        // The client asks for the rest.
        _ if request.contains("\r\nrange:") => Vec::new(),
        _ => http("200 OK", 100, b"customer_id,tenure\nqxcanary-value,"),
    };
    check_store(
        "c.csv",
        cut,
        &["s3://b/c.csv", "the connection to the store broke"],
    );
}

#[test]
fn servers_that_say_nothing_or_nonsense_are_given_up() {
    let parts = |port: u16| {
        format!(
            "host = \"localhost\", port = {port}, database = \"d\", user = \"u\", password_file = \"password\""
        )
    };
    let unit = |port| unit_on(&parts(port), "SELECT * FROM customers", "SELECT 1");
    let nonsense = serve(|_| b"qxcanary-value".to_vec());
    check_refused(
        &unit(nonsense),
        &["table \"customers\": the server does not answer as PostgreSQL does"],
    );
    let silent = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = silent.local_addr().unwrap().port();
    check_refused(&unit(port), &["the server does not answer in time"]);
    // A password over a connection that is not encrypted is not even offered.
    let eager = serve(|_| b"N".to_vec());
    check_refused(
        &unit(eager),
        &["table \"customers\": the server has no TLS"],
    );
}
