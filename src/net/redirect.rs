//! Redirects (RFC 9110 section 15.4, and the Fetch standard's HTTP-redirect
//! fetch where the RFC leaves a choice).

use bytes::Bytes;
use http::{HeaderMap, HeaderName, Method, StatusCode};
use url::Url;

use super::error::{Error, host_of};
use super::headers;
use super::message::Request;

/// The request for the next hop.
pub(super) struct Hop {
    pub(super) method: Method,
    pub(super) url: Url,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
    sensitive: Vec<HeaderName>,
}

impl From<Request> for Hop {
    fn from(request: Request) -> Hop {
        let Request { method, url, headers, body, sensitive } = request;
        Hop { method, url, headers, body, sensitive }
    }
}

impl Hop {
    /// The target of a redirect: a status of 301, 302, 303, 307 or 308 with a
    /// Location. `None` for any other response, which is final.
    ///
    /// # Errors
    ///
    /// [`Error::BadRedirect`] if the Location is no URL, [`Error::Downgrade`] if
    /// it leaves https.
    pub(super) fn target(&self, status: StatusCode, headers: &HeaderMap) -> Result<Option<Url>, Error> {
        // 300, 304, 305 and 306 are not redirects that a client follows by itself.
        if !matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308) {
            return Ok(None);
        }
        let bad = |reason| Error::BadRedirect { host: host_of(&self.url), reason };
        let Some(location) = headers::location(headers).map_err(bad)? else {
            return Ok(None);
        };
        let location = str::from_utf8(location).map_err(|_| bad("its location is not valid text"))?;
        let mut target = self.url.join(location).map_err(|_| bad("its location is not a valid url"))?;
        if self.url.scheme() == "https" && target.scheme() == "http" {
            return Err(Error::Downgrade { host: host_of(&self.url) });
        }
        // RFC 9110 section 10.2.2: a Location without fragment inherits the request's.
        if target.fragment().is_none() {
            target.set_fragment(self.url.fragment());
        }
        Ok(Some(target))
    }

    /// Turns this request into the one for `target`.
    ///
    /// 303, and 301 or 302 after POST, become GET without body, as in browsers; HEAD stays HEAD. 307 and 308 repeat method and body, to another
    /// origin as well, as both standards require. Credentials dropped once stay
    /// dropped, even if a later hop comes back.
    pub(super) fn follow(&mut self, status: StatusCode, target: Url) {
        let to_get = match status {
            StatusCode::SEE_OTHER => !matches!(self.method, Method::GET | Method::HEAD),
            StatusCode::MOVED_PERMANENTLY | StatusCode::FOUND => self.method == Method::POST,
            _ => false,
        };
        if to_get {
            self.method = Method::GET;
            self.body = Bytes::new();
            headers::drop_body_fields(&mut self.headers);
        }
        if self.url.origin() != target.origin() {
            headers::drop_credentials(&mut self.headers, &self.sensitive);
        }
        self.url = target;
    }
}
