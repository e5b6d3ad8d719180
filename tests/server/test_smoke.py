from kandinsky_server.testing.running import RunningServer


def test_generate_makes_images_of_the_size_asked_for(server: RunningServer) -> None:
    with server.client() as client:
        results = client.generate("a red circle", prior_step_count=2, step_count=2, image_count=2, seed=1)
    assert [result.image.size for result in results] == [(64, 64), (64, 64)]
    assert [result.seed for result in results] == [1, 2]
