"""A server that keeps objects as Google Cloud Storage does, in memory.

Of the JSON API it has what gcsfs asks for: lists by prefix, reads of ranges,
uploads in one part or several, and creation that is refused where there is an
object already.
"""

import base64
import contextlib
import email
import hashlib
from http import server
import itertools
import json
import threading
from urllib import parse

Objects = dict[str, tuple[int, bytes]]  # name -> (generation, bytes)


@contextlib.contextmanager
def serve():
  """Yields the address of a server, and its objects of all buckets."""
  objects: Objects = {}
  handler = type('Handler', (_Handler,), {
      'objects': objects, 'uploads': {}, 'count': itertools.count(1),
      'guard': threading.Lock()})
  with server.ThreadingHTTPServer(('127.0.0.1', 0), handler) as http:
    http.daemon_threads = True
    thread = threading.Thread(target=http.serve_forever, daemon=True)
    thread.start()
    try:
      yield f'http://127.0.0.1:{http.server_port}', objects
    finally:
      http.shutdown()


class _Handler(server.BaseHTTPRequestHandler):
  """One request; objects are called bucket/name."""

  protocol_version = 'HTTP/1.1'
  # Else each answer waits 40 ms for the other end.
  disable_nagle_algorithm, wbufsize = True, -1

  def handle(self):
    # gcsfs hangs up on what it asked for in two ways, once it knows.
    with contextlib.suppress(ConnectionError):
      super().handle()

  def finish(self):
    with contextlib.suppress(ConnectionError):
      super().finish()

  def do_GET(self):
    bucket, name, query = self._asked()
    with self.guard:
      if name is None:
        self._list(bucket, query)
      elif f'{bucket}/{name}' not in self.objects:
        self._answer({'error': {'message': 'No such object'}}, 404)
      elif query.get('alt') == 'media':
        self._read(self.objects[f'{bucket}/{name}'][1])
      else:
        self._answer(self._described(bucket, name))

  def do_DELETE(self):
    bucket, name, _ = self._asked()
    with self.guard:
      found = self.objects.pop(f'{bucket}/{name}', None)
    self._answer({}, 404 if found is None else 200)

  def do_PUT(self):
    self.do_POST()

  def do_POST(self):
    bucket, _, query = self._asked()
    body = self.rfile.read(int(self.headers.get('Content-Length', 0)))
    with self.guard:
      if 'upload_id' in query:
        self._add_part(bucket, query['upload_id'], body)
      elif query['uploadType'] == 'resumable':
        name = query.get('name') or json.loads(body)['name']
        number = f'{next(self.count)}'
        self.uploads[number] = name, b'', query
        self._answer({}, location=f'http://{self.headers["Host"]}{self.path}'
                     f'&upload_id={number}')
      else:
        kind = self.headers['Content-Type'].encode()
        meta, data = email.message_from_bytes(
            b'Content-Type: ' + kind + b'\n\n' + body).get_payload()
        # The parser of mails would change the ends of lines.
        size = len(body) - len(b'\n--==0==--')
        start = body.index(b'\n\n', body.index(b'\n--==0==', 1)) + 2
        del data
        self._keep(bucket, json.loads(meta.get_payload())['name'],
                   body[start:size], query)

  def _add_part(self, bucket, number, body):
    name, before, query = self.uploads[number]
    whole = before + body
    self.uploads[number] = name, whole, query
    end = self.headers['Content-Range'].split('/')[1]
    if end.isdigit() and len(whole) == int(end):
      self._keep(bucket, name, whole, query)
    else:
      self._answer({}, 308, range=f'bytes=0-{len(whole) - 1}')

  def _keep(self, bucket, name, data, query):
    path = f'{bucket}/{name}'
    if query.get('ifGenerationMatch') == '0' and path in self.objects:
      self._answer({'error': {'message': 'conditionNotMet'}}, 412)
      return
    self.objects[path] = next(self.count), data
    self._answer(self._described(bucket, name))

  def _list(self, bucket, query):
    start = f'{bucket}/{query.get("prefix", "")}'
    names = sorted(path.removeprefix(f'{bucket}/') for path in self.objects
                   if path.startswith(start))
    begin = int(query.get('pageToken', 0))
    end = begin + min(int(query.get('maxResults', 1000)), 20)  # pages, always
    more = {'nextPageToken': str(end)} if end < len(names) else {}
    self._answer({'kind': 'storage#objects', **more, 'items': [
        self._described(bucket, name) for name in names[begin:end]]})

  def _described(self, bucket, name):
    generation, data = self.objects[f'{bucket}/{name}']
    return {'kind': 'storage#object', 'bucket': bucket, 'name': name,
            'size': str(len(data)), 'generation': str(generation),
            'updated': '2026-01-01T00:00:00.000Z', 'md5Hash': base64.b64encode(
                hashlib.md5(data).digest()).decode()}

  def _read(self, data):
    status, asked = 200, self.headers.get('Range')
    if asked:
      first, last = asked.removeprefix('bytes=').split('-')
      data = data[int(first):int(last) + 1 if last else None]
      status = 206
    self._send(data, status)

  def _asked(self):
    """Bucket, name of an object or None, and the query."""
    url = parse.urlsplit(self.path)
    parts = url.path.split('/b/', 1)[1].split('/', 2)
    name = parse.unquote(parts[2]) if len(parts) > 2 else None
    return parts[0], name, dict(parse.parse_qsl(url.query))

  def _answer(self, value, status=200, **headers):
    self._send(json.dumps(value).encode(), status, **headers)

  def _send(self, data, status, **headers):
    self.send_response(status)
    for name, value in headers.items():
      self.send_header(name, value)
    self.send_header('Content-Length', str(len(data)))
    self.end_headers()
    self.wfile.write(data)

  def log_message(self, *args):
    pass
