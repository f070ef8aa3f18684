// An echo server with a thread for each client, in Rust, with std alone.
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::{env, process, thread, time::Duration};

extern "C" {
    fn signal(number: i32, handler: extern "C" fn(i32)) -> usize;
    fn _exit(code: i32) -> !;
}

extern "C" fn on_term(_: i32) {
    unsafe { _exit(0) }
}

fn serve(mut client: TcpStream) {
    let mut buffer = [0; 16 << 10];
    while let Ok(n) = client.read(&mut buffer) {
        if n == 0 || client.write_all(&buffer[..n]).is_err() {
            return;
        }
    }
}

fn main() {
    unsafe { signal(15, on_term) };
    let port: u16 = env::args().nth(1).and_then(|text| text.parse().ok()).unwrap_or_else(|| process::exit(2));
    let listener = TcpListener::bind(("127.0.0.1", port)).expect("listen");
    for client in listener.incoming() {
        let made = match client {
            Ok(client) => thread::Builder::new().stack_size(128 << 10).spawn(move || serve(client)).is_ok(),
            Err(_) => false,
        };
        if !made {
            thread::sleep(Duration::from_millis(100)); // out of descriptors or threads: until a client leaves
        }
    }
}
