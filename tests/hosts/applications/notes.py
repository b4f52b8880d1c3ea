"""Notes: a web application with a database, and a queue of jobs for its worker."""

import flask
import psycopg2
import redis

app = flask.Flask(__name__)
queue = redis.Redis("cache", socket_timeout=60)


def database():
    return psycopg2.connect("host=db user=postgres dbname=postgres connect_timeout=60")


@app.get("/healthz")
def healthz():
    return "ok\n"


@app.get("/")
def notes():
    with database() as connection, connection.cursor() as cursor:
        cursor.execute("SELECT text, length FROM notes ORDER BY number")
        return "".join(f"{text}: {'waits' if length is None else length}\n" for text, length in cursor.fetchall())


@app.post("/")
def add():
    with database() as connection, connection.cursor() as cursor:
        cursor.execute("INSERT INTO notes (text) VALUES (%s) RETURNING number", [flask.request.form["text"]])
        (number,) = cursor.fetchone()
    queue.rpush("jobs", number)
    return "added\n"
