//! A stand-in for an API server, with answers that a real one cannot be made to give at will.

use std::{
    collections::{BTreeMap, VecDeque},
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread,
};

/// By path, or by method and path, the answers that are left.
type Answers = Mutex<BTreeMap<String, VecDeque<(u16, String)>>>;

/// Answers by the path that is asked for, without its query, or by method and path, such as `PATCH /api`. Of
/// several answers each is given once and the last one from then on. What has none is not found, as by a
/// server that does not know the path; a status of 0 is silence.
pub(crate) struct StandIn {
    /// A kubeconfig that leads to it.
    pub(crate) kubeconfig: String,
}

impl StandIn {
    /// Answers until the test ends.
    pub(crate) fn start(answers: &[(&str, u16, &str)]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let port = listener.local_addr().expect("it has an address").port();
        let mut queues = BTreeMap::<String, VecDeque<(u16, String)>>::new();
        for (what, status, body) in answers {
            queues.entry((*what).to_owned()).or_default().push_back((*status, (*body).to_owned()));
        }
        let answers = Arc::new(Mutex::new(queues));
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let answers = Arc::clone(&answers);
                thread::spawn(move || {
                    let mut requests = BufReader::new(&stream);
                    while let Some(request) = read(&mut requests) {
                        let (status, body) = answer(&answers, &request);
                        if status == 0 {
                            loop {
                                thread::park();
                            }
                        }
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

/// Reads a request with its body, and gives its method and path; `None` when there are no more.
fn read(requests: &mut BufReader<&TcpStream>) -> Option<String> {
    let mut lines = requests.by_ref().lines().map_while(Result::ok);
    let first = lines.next()?;
    let mut length = 0;
    for header in lines.by_ref().take_while(|line| !line.is_empty()) {
        let (name, value) = header.split_once(':')?;
        if name.eq_ignore_ascii_case("content-length") {
            length = value.trim().parse().ok()?;
        }
    }
    requests.read_exact(&mut vec![0; length]).ok()?;
    let mut words = first.split(' ');
    let (method, path) = (words.next()?, words.next()?);
    Some(format!("{method} {}", path.split('?').next()?))
}

fn answer(answers: &Answers, request: &str) -> (u16, String) {
    let mut answers = answers.lock().expect("no other thread failed");
    let path = request.split(' ').nth(1).unwrap_or_default();
    let key = if answers.contains_key(request) { request } else { path };
    let left = answers.get_mut(key);
    let next =
        left.and_then(|left| if left.len() > 1 { left.pop_front() } else { left.front().cloned() });
    next.unwrap_or((404, "404 page not found".to_owned()))
}
