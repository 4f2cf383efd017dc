from trellis.wsgi import app
