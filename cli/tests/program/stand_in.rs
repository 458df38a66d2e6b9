//! A stand-in for an API server, with answers that a real one cannot be made to give at will.

use std::{
    collections::BTreeMap,
    io::{BufRead as _, BufReader, Write as _},
    net::TcpListener,
    thread,
};

/// Answers by the path that is asked for, without its query; what has none is not found, as by a server
/// that does not know the path.
pub(crate) struct StandIn {
    /// A kubeconfig that leads to it.
    pub(crate) kubeconfig: String,
}

impl StandIn {
    /// Answers until the test ends.
    pub(crate) fn start(answers: &[(&str, u16, &str)]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let port = listener.local_addr().expect("it has an address").port();
        let answers: BTreeMap<String, (u16, String)> = answers
            .iter()
            .map(|(path, status, body)| ((*path).to_owned(), (*status, (*body).to_owned())))
            .collect();
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let answers = answers.clone();
                thread::spawn(move || {
                    let mut lines = BufReader::new(&stream).lines().map_while(Result::ok);
                    while let Some(request) = lines.next() {
                        let path = request.split(' ').nth(1).unwrap_or_default();
                        let path = path.split('?').next().unwrap_or_default();
                        let not_found = (404, "404 page not found".to_owned());
                        let (status, body) = answers.get(path).unwrap_or(&not_found);
                        // Questions have no body: they end with an empty line.
                        while lines.next().is_some_and(|line| !line.is_empty()) {}
                        let length = body.len();
                        let answer = format!(
                            "HTTP/1.1 {status} Answer\r\ncontent-type: application/json\r\n\
                             content-length: {length}\r\n\r\n{body}"
                        );
                        if (&stream).write_all(answer.as_bytes()).is_err() {
                            return;
                        }
                    }
                });
            }
        });
        let kubeconfig = format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: here\n\
             clusters: [{{name: here, cluster: {{server: 'http://127.0.0.1:{port}'}}}}]\n\
             contexts: [{{name: here, context: {{cluster: here, namespace: shop, user: me}}}}]\n\
             users: [{{name: me, user: {{}}}}]\n"
        );
        Self { kubeconfig }
    }
}
