//! Everything that a watch of the API server told.

use std::io::BufReader;
use std::process::{Child, Command, Stdio};
use std::thread::JoinHandle;

use serde_json::{Deserializer, Value};

/// A `kubectl get --watch` that goes on until it is asked for what it saw.
pub struct Watch {
    child: Child,
    seen: Option<JoinHandle<Vec<Value>>>,
}

impl Watch {
    /// Watches the objects of a kind in a namespace, those that are there included.
    #[must_use]
    pub fn start(namespace: &str, kind: &str) -> Self {
        let mut child = Command::new("kubectl")
            .args(["get", kind, "-n", namespace, "--watch", "-o", "json"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("kubectl starts");
        let output = child.stdout.take().expect("its output was asked for");
        let seen = std::thread::spawn(move || {
            let objects = Deserializer::from_reader(BufReader::new(output)).into_iter::<Value>();
            // What is cut off when it is ended is no object.
            objects.map_while(Result::ok).collect()
        });
        Self { child, seen: Some(seen) }
    }

    /// Every version of every object that was seen, in that order.
    #[must_use]
    pub fn finish(mut self) -> Vec<Value> {
        let _ = self.child.kill();
        let seen = self.seen.take().expect("only this takes it");
        seen.join().expect("the thread reads and does not panic")
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
