//! The client: one connection pool, one policy, exchanges under limits.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderValue, Method, header};
use url::Url;

use super::error::{BuildError, Error};
use super::headers;
use super::message::{Limits, Request, Response};
use super::policy::Policy;
use super::redirect::Hop;
use super::resolver::{GuardedResolver, Lookup};

/// Time to connect, TLS included. It is shared out over a host's addresses, so a
/// dead first address leaves time for the next one.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Time for which an unused connection is kept. Below the 60 s after which common
/// servers and load balancers close theirs.
const POOL_IDLE: Duration = Duration::from_secs(30);
/// Unused connections kept per host.
const POOL_IDLE_PER_HOST: usize = 8;
/// Maximum header size announced to HTTP/2 servers, in bytes; equals the default
/// of [`Limits::max_header_bytes`].
const H2_HEADER_BYTES: u32 = 64 * 1024;
/// HTTP/1 response header fields; hyper's own default, fixed here.
const H1_HEADER_FIELDS: usize = 100;
/// First buffer for a body of unknown length, in bytes.
const FIRST_BUFFER: usize = 16 * 1024;

/// The guarded HTTP client. Cheap to clone; clones share the connection pool, so
/// one client per policy is enough for a process.
#[derive(Clone)]
pub struct Client {
    http: reqwest::Client,
    policy: Arc<Policy>,
}

impl Client {
    /// Builds a client. TLS is verified against the platform's root store, with
    /// TLS 1.2 and 1.3; HTTP/2 is used where the server offers it.
    ///
    /// # Errors
    ///
    /// [`BuildError`] if TLS cannot be set up, e.g. without root certificates.
    pub fn new(policy: Policy) -> Result<Client, BuildError> {
        Client::build(policy, Lookup::System, Vec::new())
    }

    /// Sends a request and reads the whole response, following redirects.
    ///
    /// Must run inside a tokio runtime. Dropping the future abandons the
    /// exchange and closes its connection.
    ///
    /// A request is sent at most once per hop, with one exception: the server
    /// stated that it did not process it (RFC 9113 section 8.7), or closed an
    /// idle connection before it was written.
    ///
    /// # Errors
    ///
    /// See [`Error`]. A status of 400 and above is a [`Response`], not an error.
    pub async fn send(&self, request: Request, limits: &Limits) -> Result<Response, Error> {
        headers::check(&request)?;
        match tokio::time::timeout(limits.timeout, self.exchange(request, limits)).await {
            Ok(outcome) => outcome,
            Err(_) => Err(Error::Timeout { after: limits.timeout }),
        }
    }

    /// As [`Client::new`]; `lookup` and `roots` (trusted beside the platform's)
    /// are for tests.
    pub(super) fn build(
        policy: Policy,
        lookup: Lookup,
        roots: Vec<reqwest::Certificate>,
    ) -> Result<Client, BuildError> {
        super::install_crypto_provider();
        let policy = Arc::new(policy);
        let http = reqwest::Client::builder()
            // Every one of these closes a way around the checks of this module.
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .dns_resolver(GuardedResolver::new(Arc::clone(&policy), lookup))
            .tls_certs_merge(roots)
            // These bound the resources that idle or hostile peers can hold.
            .connect_timeout(CONNECT_TIMEOUT)
            .pool_idle_timeout(POOL_IDLE)
            .pool_max_idle_per_host(POOL_IDLE_PER_HOST)
            .http1_max_headers(H1_HEADER_FIELDS)
            .http2_max_header_list_size(H2_HEADER_BYTES)
            .build()
            .map_err(|err| BuildError::from_reqwest(&err))?;
        Ok(Client { http, policy })
    }

    /// The redirect loop. Has no deadline of its own.
    async fn exchange(&self, request: Request, limits: &Limits) -> Result<Response, Error> {
        let mut hop = Hop::from(request);
        let mut redirects = 0u8;
        loop {
            self.policy.check(&hop.url)?;
            let reply = self
                .http
                .execute(outgoing(&hop))
                .await
                .map_err(|err| Error::from_reqwest(&err, &hop.url, CONNECT_TIMEOUT))?;
            if headers::size(reply.headers()) > limits.max_header_bytes {
                return Err(Error::HeadersTooLarge { limit: limits.max_header_bytes });
            }
            let status = reply.status();
            let target = match limits.max_redirects {
                0 => None,
                _ => hop.target(status, reply.headers())?,
            };
            let Some(target) = target else {
                return finish(hop, reply, redirects, limits).await;
            };
            if redirects >= limits.max_redirects {
                return Err(Error::TooManyRedirects { limit: limits.max_redirects });
            }
            redirects = redirects.saturating_add(1);
            // The redirect's own body is not read: with `reply` its connection
            // closes if a body is still to come, and is reused otherwise.
            hop.follow(status, target);
        }
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("policy", &self.policy).finish_non_exhaustive()
    }
}

/// The request for one hop, as a reqwest request.
fn outgoing(hop: &Hop) -> reqwest::Request {
    let mut request = reqwest::Request::new(hop.method.clone(), hop.url.clone());
    *request.headers_mut() = hop.headers.clone();
    if !hop.body.is_empty() {
        *request.body_mut() = Some(hop.body.clone().into());
    } else if matches!(hop.method, Method::POST | Method::PUT | Method::PATCH) {
        // RFC 9110 section 8.6: these methods anticipate content, so its absence
        // is said; servers answer 411 otherwise.
        request.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from_static("0"));
    }
    request
}

impl Request {
    /// The header fields that an HTTP/1.1 server receives with this request: its own and those of the client. Over HTTP/2,
    /// `:authority` replaces Host.
    ///
    /// # Errors
    ///
    /// [`Error::ForbiddenMethod`] or [`Error::ForbiddenHeader`], as sending it.
    pub fn sent_headers(&self) -> Result<HeaderMap, Error> {
        headers::check(self)?;
        let mut fields = HeaderMap::new();
        let host = self.url.host_str().unwrap_or_default();
        let host = self.url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"));
        let value = |text: &str| HeaderValue::from_str(text).unwrap_or_else(|_| HeaderValue::from_static(""));
        fields.insert(header::HOST, value(&host));
        fields.extend(outgoing(&Hop::from(self.clone())).headers().clone());
        fields.entry(header::ACCEPT).or_insert(HeaderValue::from_static("*/*"));
        fields.entry(header::ACCEPT_ENCODING).or_insert(HeaderValue::from_static("gzip"));
        if !self.body.is_empty() {
            fields.insert(header::CONTENT_LENGTH, value(&self.body.len().to_string()));
        }
        Ok(fields)
    }
}

/// Reads the final response.
async fn finish(hop: Hop, mut reply: reqwest::Response, redirects: u8, limits: &Limits) -> Result<Response, Error> {
    let status = reply.status();
    let body = read_body(&mut reply, &hop.url, limits.max_response_bytes).await?;
    Ok(Response { status, headers: std::mem::take(reply.headers_mut()), body, url: hop.url, redirects })
}

/// Reads the decoded body, never holding more than `limit` bytes and one chunk.
async fn read_body(reply: &mut reqwest::Response, url: &Url, limit: usize) -> Result<Bytes, Error> {
    let too_large = || Error::BodyTooLarge { limit };
    // Known only for a body that is not encoded; then nothing need be read.
    let announced = reply.content_length();
    if announced.is_some_and(|length| usize::try_from(length).map_or(true, |n| n > limit)) {
        return Err(too_large());
    }
    let mut body = BytesMut::new();
    loop {
        let chunk = match reply.chunk().await {
            Ok(Some(chunk)) => chunk,
            Ok(None) => return Ok(body.freeze()),
            Err(err) => return Err(Error::from_reqwest(&err, url, CONNECT_TIMEOUT)),
        };
        if chunk.len() > limit.saturating_sub(body.len()) {
            return Err(too_large());
        }
        if body.is_empty() {
            // Not the announced length: memory is taken only as bytes come.
            body.reserve(FIRST_BUFFER.min(limit).max(chunk.len()));
        }
        body.extend_from_slice(&chunk);
    }
}
