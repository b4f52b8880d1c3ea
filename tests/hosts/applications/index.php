<?php
$blog = new PDO("pgsql:host=db;user=postgres;dbname=postgres");
$blog->exec("CREATE TABLE IF NOT EXISTS posts (title text)");
if (isset($_GET["title"])) {
    $blog->prepare("INSERT INTO posts VALUES (?)")->execute([$_GET["title"]]);
}
foreach ($blog->query("SELECT title FROM posts") as $post) {
    echo $post["title"], "\n";
}
